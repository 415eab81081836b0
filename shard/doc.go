// Package shard defines the terms of Sluice, and reads one shard of a job. Read this page first.
//
// The events of the API fill a span of event time. The coordinator divides the span into windows, half-open and without gap
// or overlap; a shard is one window and its progress. That progress is a Checkpoint, a row in the database, and nothing else:
// whatever is in memory may be lost at any moment, and running the shard again from its row is the answer to every fault, be
// it a cut connection, a bad page or a kill -9.
//
// An Attempt runs one shard from its checkpoint. It has two halves with a bounded queue between them:
//
//	Source.Pages ──► pull half: judge each page ──► queue ──► push half: Batch ──► Sink.Commit
//
// The pull half (walk.go, judge.go) reads the pages of a Source, newest record first, as the API serves them. It drops what
// belongs to the neighbours, counts what it sees, remembers after which record to continue (the resume point), and decides
// when the window is finished. The push half (attempt.go) commits what is queued, together with the checkpoint, in one
// transaction. The Source does all its waiting inside a step of its iterator: if the database is slow the queue fills up, the
// pull half stops, and no quota is used.
//
// # What is believed, and what is not
//
// The API's timestamps may be wrong, its cursors die, its answers are cached, and it has said "there is no more" too early. So
// an end is proven, never believed: by records older than the window's start, in order by time; or, at the end of the data, by reading
// the last response again with a different request that brings no id which it had not. Only records at the front of a walk are taken to
// be newer than the window, and only records at its end to be older. Every other record outside the window is stored like the rest,
// because no other shard would store a record with a wrong timestamp, and the key of the table makes storing it twice harmless.
//
// A sender with a wrong clock sends many records in a row. So four older records prove an end only if they follow what was read without a
// jump, a step much wider than the density of what was read. After a jump a page of records must agree, and more each time the
// window is opened again; and no record after one becomes a resume point before several pages have followed it.
//
// What a shard drops because it belongs to a neighbour must come to be stored by the neighbour. A few of those records, on each
// side of the window, are kept as witnesses. One that is nowhere at the check makes both windows suspect, and is stored from the
// witness if it is still nowhere after that.
//
// A resume point is checked when it is used: the walk must meet its record again. If the walk passes by without meeting it, the
// resume point was wrong, and the window is read anew. A source may forget its oldest records while they are read: then the record
// at the old end is gone, and the shard ends with what is still served.
//
// # Memory
//
// The memory for every page is taken from one Budget before the page is requested, and given back after its commit: the pages
// of all shards together never hold more than `--memory`. A Source that finds a page larger than expected calls Reserve before it
// reads on.
//
// # Glossary
//
// One word for one thing, in code, flags, tables, metrics and on every screen.
//
//	span          the range of event time that a job covers; either end may be open
//	window        a half-open range of event time, part of the span
//	shard         the unit of work: one window and its progress
//	event         a decoded record, ready for the table
//	record        one entry of a page, as the API sent it: it becomes an event or a reject
//	reject        a record that cannot become an event
//	dead letter   a reject in the table dead_letters, raw, with the reason
//	page          the records that one request yields, or a piece of a large response
//	list, stream  the API's two endpoints: the public list, and the feed that requires a token
//	cursor        the API's own continuation after a page; it expires
//	resume point  the last record after which reading may safely continue without a cursor
//	position      where reading continues: a cursor, a resume point or the end of a window
//	pass          one read of consecutive pages from a position
//	walk          all passes of an attempt over a window, newest record first
//	edge          the older end of a window while it is walked; a split moves it
//	split         cutting pieces off the older end of a window, for idle fetchers; a piece is a shard
//	attempt       one run of a shard, from its checkpoint to its end or to a fault
//	fetcher       a slot for one attempt at a time; --fetchers is their number
//	batch         consecutive pages that are committed together
//	checkpoint    a shard's row in ingestion_shards; it moves in the transaction that stores the batch
//	proof         how the end of a shard was proven: older records, or a confirmed end of the data
//	suspect       a shard that was done, but whose rows or witnesses are not all in the table: it is walked again
//	witness       a record next to the window that the shard dropped, kept until the check finds it in the table
//	salvage       storing a batch that COPY refused through a staging table, row by row where needed
//	budget        the memory that all pages may hold; --memory
//	quota         how many requests the API accepts in a time, per endpoint
//	ledger        the rows of jobs, rounds and shards: all progress, and all counts
//	job           everything that is known about loading one source into one database, under a name
//	round         one pass over new events of a job that is followed; a first load is its first round
//	watermark     the instant up to which all events are stored
//	lookback      how far behind the watermark a round starts, for events that arrive late
package shard
