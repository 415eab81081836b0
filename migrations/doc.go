// Package migrations holds the tables of Sluice as SQL, and brings a database up to them.
//
// The names and columns of the tables are part of what users may rely on: they are fixed from the first migration on, and
// later ones only add. The files lie in sql/, are embedded, and are run in order by goose, each in a transaction of its own
// and all under an advisory lock: two starts at once, or a start that is killed in the middle, leave nothing half done. Which
// of them have run is kept in sluice_migrations, a name of our own, so that a database whose owner uses goose himself is not
// confused.
//
// One table may be there already, made by its owner or by the system before this one: ingested_events. [CompareEvents]
// looks at it column by column. Whatever holds everything that is written into it is accepted, and its rows stay; anything
// else is refused before the first change, with the statement that mends it.
//
// A database that a newer Sluice has already migrated is refused too ([NewerError]): an old program cannot know what the new
// columns promise.
package migrations
