package datasync

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"sluice/fetch"
	"sluice/shard"
)

// wordings is how many ways there are to ask for the newest page. Each has its half second, by the clock. When all have had their
// turn, an API that repeats its answers for 30 s has forgotten the first one, whichever process asked.
const (
	wordings  = 61
	wordingMS = 500
)

// firstWording keeps them apart from the reads that confirm an end, which ask for one or a few records fewer.
const firstWording = 16

// freshTries is how often the newest page is asked for until one does not come from a cache.
const freshTries = 3

// Latest asks for the newest page, each time with another page size, because the API repeats its answers for a while: an old page
// would hide new events. The page is kept for the walk that begins there.
func (c *Client) Latest(ctx context.Context) (shard.Latest, error) {
	for try := 1; ; try++ {
		q := fetch.Question{Start: shard.FromTop, Vary: firstWording + int(c.nextWording()%wordings)}
		pages, err := c.persist(ctx, &q, isRefusal)
		if err != nil {
			return shard.Latest{}, fmt.Errorf("ask for the newest page: %w", err)
		}
		if pages[0].Cached && try < freshTries {
			continue
		}
		c.newest.hold(pages)
		return c.latest(pages), nil
	}
}

// nextWording returns the wording of the moment, or the one after the last if several are needed in a moment. It is called by one
// goroutine at a time.
func (c *Client) nextWording() int64 {
	next := max(time.Now().UnixMilli()/wordingMS, c.wording.Load()+1)
	c.wording.Store(next)
	return next
}

func (c *Client) latest(pages []shard.Page) shard.Latest {
	l := shard.Latest{Total: c.total.Load()}
	for i := range pages {
		if events := pages[i].Events; len(events) > 0 {
			if l.Events == 0 {
				l.Newest = events[0].At
			}
			l.Oldest, l.Events = shard.OldestInOrder(events), l.Events+len(events)
			for n := range events {
				l.Keys = append(l.Keys, events[n].Key())
			}
		}
	}
	return l
}

// AskTotal asks the API how many events there are, with one page request. 0 means that it does not say.
func (c *Client) AskTotal(ctx context.Context) (int64, error) {
	if _, err := c.persist(ctx, &fetch.Question{Start: shard.FromTop}, isRefusal); err != nil {
		return 0, fmt.Errorf("ask for the total: %w", err)
	}
	n, _ := c.Total()
	return max(0, n), nil
}

// newest holds the newest page between the survey, which reads it first of all, and the walk of the newest window, which would
// ask for it again at once. It is decoded, given out once, and only while the walk can go on from it.
type newest struct {
	kept atomic.Pointer[newestPage]
}

type newestPage struct {
	page shard.Page
	good time.Time // until then
}

const (
	// largestKept is the largest body whose page is kept, in bytes: twice an ordinary one. It waits outside of the memory budget,
	// like the page that a survey has in hand.
	largestKept = 4 << 20
	// keptFor is how long a page is kept if its cursor does not say how long it lives, or if it has none: as long as others live.
	keptFor = 2 * time.Minute
)

// keep holds the answer to a question that was for the newest page and nothing else.
func (n *newest) keep(q *fetch.Question, pages []shard.Page) {
	if asksNewest(q) {
		n.hold(pages)
	}
}

// hold keeps the newest page, however it was asked for.
func (n *newest) hold(pages []shard.Page) {
	if len(pages) != 1 || pages[0].Bytes > largestKept {
		return
	}
	kept := &newestPage{page: pages[0], good: time.Now().Add(keptFor)}
	if expires := kept.page.CursorExpires; !expires.IsZero() {
		kept.good = expires
	}
	n.kept.Store(kept)
}

// take returns the page that answers q, once. A page that has become too old is dropped, whatever is asked for.
func (n *newest) take(q *fetch.Question) []shard.Page {
	kept := n.kept.Load()
	if kept == nil {
		return nil
	}
	old := !time.Now().Before(kept.good)
	if !old && !asksNewest(q) || !n.kept.CompareAndSwap(kept, nil) || old {
		return nil
	}
	return []shard.Page{kept.page}
}

// asksNewest reports whether a kept page answers q as the API would. A read that has to differ from an earlier one, such as the read
// that confirms an end, is not answered by an earlier one.
func asksNewest(q *fetch.Question) bool { return q.Start == shard.FromTop && q.Vary == 0 && q.Max == 0 }
