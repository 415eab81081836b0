// Package coordinator cuts a span into windows and sees that every shard gets done: the public Go API of Sluice.
//
// Plan is pure. Run gives each unfinished shard its attempts, N of them at a time, over one Source and one Store. An attempt
// that a fault has ended is run again from the shard's checkpoint after a pause; the pause holds no fetcher's place. A shard
// that cannot be mended by running it again fails, and the others go on.
//
// Two contexts run through it. The caller's says "take no more": nothing new is fetched, and what was fetched is committed.
// When it ends, a second one, which the commits hang on, has Drain left to live.
package coordinator
