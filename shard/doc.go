// Package shard holds the words of Sluice and the street that a page walks. It is the map of the whole: read it first.
//
// The events of the API fill a span of event time. The coordinator cuts the span into windows, half-open and without gap or
// overlap; a shard is one window and its progress. The progress of a shard is its Checkpoint, a row in the database, and
// nothing else: what is in memory may be lost at any moment, and running a shard again from its row is the answer to every
// fault, be it a cut connection, a bad page or a kill -9.
//
// An Attempt runs one shard from its checkpoint. It has two halves with one bounded queue between them:
//
//	Source.Pages ──► pull half: trim, count, judge ──► queue ──► push half: Batch ──► Sink.Commit
//
// The pull half (walk.go, read.go) ranges over the pages of a Source, newest record first, as the API has them. It drops what
// belongs to the neighbours, counts what it sees, remembers after which record to go on (the resume point), and decides when
// the window is finished. The push half (run.go) commits what has been queued, together with the checkpoint, in one
// transaction. The Source does all its waiting inside a step of its iterator: when the database is slow the queue is full,
// the pull half stands, and no quota is spent.
//
// # What is believed, and what is not
//
// The API's timestamps may be wrong, its cursors die, its answers are cached, and "there is no more" has been said too early.
// So an end is proven, never believed: by records older than the window's start, in order, or, where the data end, by a second
// read of the last place with a different request that brings nothing new. Only a prefix of a walk can be newer than its
// window and only a suffix of it older; every other record outside the window is stored like the rest, because a record with
// a wrong timestamp has no other shard that would store it, and the key of the table makes storing it twice harmless.
//
// A resume point is checked when it is used: the walk must meet its record again. If it passes by without meeting it, the
// point was wrong, and the window is read anew.
//
// # Memory
//
// Every page is taken from one Budget before it is asked for, and given back after its commit: the pages of all shards
// together never hold more than `--memory`.
package shard
