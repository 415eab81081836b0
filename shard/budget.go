package shard

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Budget is the memory that the pages of all shards may hold between their request and their commit, in bytes. A page is
// taken before it is asked for, at the size last seen, so that a full budget asks for nothing.
type Budget struct {
	total int64
	page  atomic.Int64 // bytes that a page takes, going by the last one
	left  *semaphore.Weighted
}

// overhead: a page is held as body while it is decoded, and as events afterwards; both together are about twice the body
// (1.73 MB of JSON become 0.9 MB of events and strings).
const overhead = 2

// firstPage is what a page is taken to need before one was seen: 5,000 events of 347 bytes.
const firstPage = overhead * 1_740_000

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	b := &Budget{total: bytes, left: semaphore.NewWeighted(bytes)}
	b.page.Store(firstPage)
	return b
}

// take waits for the room that one page needs. A page larger than the whole budget takes all of it.
func (b *Budget) take(ctx context.Context) (int64, error) {
	grant := min(b.page.Load(), b.total)
	if err := b.left.Acquire(ctx, grant); err != nil {
		return 0, context.Cause(ctx)
	}
	return grant, nil
}

func (b *Budget) give(grant int64) {
	if grant > 0 {
		b.left.Release(grant)
	}
}

// saw notes the size of a page.
func (b *Budget) saw(bytes int) {
	if bytes > 0 {
		b.page.Store(overhead * int64(bytes))
	}
}
