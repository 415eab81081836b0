package fetch

import (
	"sync/atomic"
	"time"

	"sluice/shard"
)

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
	// mostKept is the largest body whose page is kept, in bytes: twice an ordinary one. It waits outside of the memory budget,
	// like the page that a survey has in hand.
	mostKept = 4 << 20
	// keptFor is how long a page is kept whose cursor does not say how long it lives, or that has none: as long as others do.
	keptFor = 2 * time.Minute
)

// keep notes the answer to a question, if that was for the newest page and nothing else.
func (n *newest) keep(q *question, pages []shard.Page) {
	if q.newest() {
		n.hold(pages)
	}
}

// hold keeps the newest page, however it was asked for.
func (n *newest) hold(pages []shard.Page) {
	if len(pages) != 1 || pages[0].Bytes > mostKept {
		return
	}
	kept := &newestPage{page: pages[0], good: time.Now().Add(keptFor)}
	if expires := kept.page.CursorExpires; !expires.IsZero() {
		kept.good = expires
	}
	n.kept.Store(kept)
}

// take gives out the page that answers q. One that has become too old is let go, whatever is asked for.
func (n *newest) take(q *question) []shard.Page {
	kept := n.kept.Load()
	if kept == nil {
		return nil
	}
	old := !time.Now().Before(kept.good)
	if !old && !q.newest() || !n.kept.CompareAndSwap(kept, nil) || old {
		return nil
	}
	return []shard.Page{kept.page}
}

// newest tells whether a kept page answers q as the API would. A read that has to differ from one before, as that which confirms
// an end has to, is not answered by what was read before.
func (q *question) newest() bool { return q.start == shard.FromTop && q.vary == 0 && q.most == 0 }
