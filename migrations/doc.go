// Package migrations holds the tables of Sluice as SQL, and brings a database up to them.
//
// Users may rely on the names and columns of the tables: they are fixed from the first migration on, and later ones only add.
// The files in sql/ are embedded and run in order by goose, each in a transaction of its own and all under an advisory lock: two
// starts at once, or a start that is killed in the middle, leave nothing half done. The table sluice_migrations records which of
// them have run; it has a name of our own because the database's owner may use goose, too.
//
// One table may exist already, made by its owner or by an earlier system: ingested_events. [CompareEvents] checks it column by
// column. A table that can hold everything we write is accepted, and its rows stay; any other is refused before the first
// change, with the statements that fix it.
//
// A database that a newer Sluice has migrated is refused, too ([NewerError]): an old program cannot know what the new columns
// promise.
package migrations
