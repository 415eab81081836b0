package shard

import (
	"context"
	"iter"
)

// Source gives pages.
type Source interface {
	// Pages walks from a place towards the past, page by page, until the API promises no more. A walk that ends otherwise
	// yields an error as its last pair: TransientError where it may be tried again. The iterator does all its waiting
	// (quota, request, retries, reading, decoding) inside a single step, so that a reader that does not ask takes no quota.
	Pages(ctx context.Context, from Position) iter.Seq2[Page, error]
}

// Sink commits a batch together with its checkpoint, or not at all.
type Sink interface {
	// Commit stores b and moves the checkpoint, and returns what was counted. It rides out faults of the database by
	// itself, with the batch in hand, until ctx ends. ErrStale: the row is no longer at b.From.Seq.
	Commit(ctx context.Context, b Batch) (Counts, error)
}
