// Package coordinator plans the windows of a job, and runs the shards of one round until all are done.
//
// Plan and PlanRound divide a span into windows; they are pure functions. A Coordinator gives each unfinished shard its
// attempts, a limited number of them at a time, over one shard.Source and one store, which is a ledger.Shards. An attempt that
// ends with a fault is followed by another one, from the shard's checkpoint, after a pause; a pausing shard occupies no fetcher.
// A shard that cannot be finished by running it again fails, and the others continue. When fetchers are idle, the shard with the
// most left is split, and the pieces join the run.
//
// Two contexts run through it. The caller's says "fetch no more": nothing new is requested, and what was fetched is committed.
// When it ends, a second one, which the commits depend on, lasts for Config.Drain.
//
// A run is watched: it stops with ErrGaveUp if nothing is committed for Config.GiveUpAfter, and with ErrTooManyDeadLetters if
// too many records cannot be decoded.
package coordinator
