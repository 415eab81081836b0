package shard

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Budget is the memory, in bytes, that the pages of all shards may hold between their request and their commit. The memory for a
// page is reserved before the page is requested, at the size of the largest of the last pages: an exhausted budget stops requests.
// A body that turns out larger takes more before it is read on.
type Budget struct {
	total int64

	mu      sync.Mutex
	page    int64 // bytes to reserve for a page
	free    int64
	growing *claim   // of a page that is being read: it goes first, because it cannot give back what it holds
	waiting []*claim // of pages that are not requested yet
}

// claim is memory that a page waits for.
type claim struct {
	bytes   int64
	granted chan struct{} // closed when the page has it
}

const (
	// overhead: a page is held as a body while it is decoded, and as events afterwards. Together they take less than twice the
	// body's size (1.73 MB of JSON become 0.9 MB of events and strings).
	overhead = 2
	// ordinaryPage is the size in bytes of a page of which nothing is known: 5,000 events of 347 bytes.
	ordinaryPage = 1_740_000
)

// cost returns what to reserve for a page that is expected to have a body of that size. The next one may be a little larger.
func cost(body int64) int64 { return overhead * (body + body/16) }

// NewBudget returns a budget of that many bytes. A page is expected to have the given number of bytes; 0 means that it is not known.
func NewBudget(bytes, page int64) *Budget {
	if page <= 0 {
		page = ordinaryPage
	}
	return &Budget{total: bytes, free: bytes, page: cost(page)}
}

// take waits until the memory for one page is free, and reserves it. A page larger than the whole budget takes all of it.
func (b *Budget) take(ctx context.Context) (int64, error) {
	b.mu.Lock()
	c := &claim{bytes: min(b.page, b.total), granted: make(chan struct{})}
	b.waiting = append(b.waiting, c)
	if err := b.wait(ctx, c); err != nil {
		return 0, err
	}
	return c.bytes, nil
}

// wait serves all claims, and waits until c has been granted. It unlocks the budget.
func (b *Budget) wait(ctx context.Context, c *claim) error {
	b.serve()
	b.mu.Unlock()
	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.granted:
		b.free += c.bytes
	default:
		if b.growing == c {
			b.growing = nil
		}
		b.waiting = slices.DeleteFunc(b.waiting, func(other *claim) bool { return other == c })
	}
	b.serve()
	return context.Cause(ctx)
}

// serve grants what is free: to the page that is being read, then to the others in the order in which they came.
func (b *Budget) serve() {
	if c := b.growing; c != nil {
		if c.bytes > b.free {
			return
		}
		b.grant(c)
		b.growing = nil
	}
	for len(b.waiting) > 0 && b.waiting[0].bytes <= b.free {
		b.grant(b.waiting[0])
		b.waiting = b.waiting[1:]
	}
}

func (b *Budget) grant(c *claim) {
	b.free -= c.bytes
	close(c.granted)
}

func (b *Budget) give(bytes int64) {
	if bytes > 0 {
		b.mu.Lock()
		b.free += bytes
		b.serve()
		b.mu.Unlock()
	}
}

// saw records the size of a page. One that is smaller than those before it may be the last of its window: it counts little.
func (b *Budget) saw(bytes int64) {
	if bytes > 0 {
		b.mu.Lock()
		b.page = max(cost(bytes), b.page-b.page/16)
		b.mu.Unlock()
	}
}

// errCrowded: two pages at once need more than they have reserved. If both waited, neither might ever get it.
var errCrowded = errors.New("the page is larger than expected, and the memory for it is not free")

// grow extends what a page has reserved to what a body of that size needs, and waits for it if no other page does. Otherwise the
// page has to be dropped: it is requested again when the memory for it is there.
func (b *Budget) grow(ctx context.Context, held *int64, body int64) error {
	b.mu.Lock()
	more := min(overhead*body, b.total) - *held
	if more <= 0 {
		b.mu.Unlock()
		return nil
	}
	b.page = max(b.page, cost(body))
	if b.growing != nil {
		b.mu.Unlock()
		return &TransientError{Err: errCrowded, After: 1} // not by the source itself: it would have no more memory than now
	}
	c := &claim{bytes: more, granted: make(chan struct{})}
	b.growing = c
	err := b.wait(ctx, c)
	if err == nil {
		*held += more
	}
	return err
}

type growKey struct{}

// extending makes Reserve extend what a page holds of the budget.
func (b *Budget) extending(ctx context.Context, held *int64) context.Context {
	return context.WithValue(ctx, growKey{}, func(ctx context.Context, body int64) error { return b.grow(ctx, held, body) })
}

// Reserve is called by a Source before it holds a body of that many bytes, decompressed, or so much of one: it waits for the memory.
// After an error nothing more of the body may be read. It has an effect only while a shard is walked: a page that is read beside
// all walks is the only one.
func Reserve(ctx context.Context, body int64) error {
	if grow, ok := ctx.Value(growKey{}).(func(context.Context, int64) error); ok {
		return grow(ctx, body)
	}
	return nil
}
