package shard

import (
	"math"
	"sync"
)

// Edge is the older end of a shard's window while it is walked. It may move up: when fetchers have nothing to do, the shard
// with the most left gives them the older part of its window.
//
// The halves of an attempt share it. Pull holds it while it judges a page, and says afterwards how far it has come; push moves
// it, in the commit that writes the pieces down, to where pull has not been yet. So no record in order is ever judged by an
// edge that is out of date, and what was judged by one that did not land is not committed either: it stands in the queue behind
// the commit that failed.
type Edge struct {
	oldest Instant // known event; where a window that is open to the past is thought to start

	mu      sync.Mutex
	start   Instant // of the window
	asked   int     // pieces that are wanted
	open    bool    // pull stands in the middle of the window, and reached says where
	over    bool    // the end is proven
	first   Instant // event of the attempt
	reached Instant // the oldest event in order
	step    float64 // microseconds that the last page covers
	pages   int     // from first to reached
}

// stretch is from where to where the events of a page lead.
type stretch struct {
	newest, oldest Instant
	events         int
}

// NewEdge returns the edge of a window that is about to be walked. Oldest is the oldest event known of the source, the zero
// value if none is: windows that are open to the past are not split then.
func NewEdge(w Window, oldest Instant) *Edge { return &Edge{start: w.Start, oldest: oldest} }

// Left returns how many pages are expected in what is left of the window, and how many pieces are already asked for; no pages
// where it could not be split now. The rate is the mean of what the attempt saw on the whole and of the last page: bursts count,
// but not for all that is to come.
func (e *Edge) Remaining() (pages float64, asked int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.left(), e.asked
}

func (e *Edge) left() float64 {
	if !e.open || e.reached <= e.floor() {
		return 0
	}
	seen := max(1000, float64(e.first-e.reached))
	rate := (float64(e.pages)/seen + 1/max(1000, e.step)) / 2
	return rate * float64(e.reached-e.floor())
}

// Ending tells whether the walk's fetcher will soon have nothing to do: its end is proven, or it expects no page after the one that
// it waits for.
func (e *Edge) NearlyDone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over || e.open && e.left() <= 1
}

// Ask asks for one more piece.
func (e *Edge) RequestSplit() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
}

// floor returns the edge as a point in time. The caller holds mu, here and below, and of left.
func (e *Edge) floor() Instant {
	if e.start == Past && e.oldest != 0 {
		return e.oldest
	}
	return e.start
}

// come notes how far pull has come. Where it is not ok, nothing is split until it is.
func (e *Edge) come(s stretch, ok bool) {
	if e.open = ok && s.events > 0; !e.open {
		return
	}
	if e.pages == 0 {
		e.first = s.newest
	}
	e.reached, e.step = s.oldest, float64(s.newest-s.oldest)
	e.pages++
}

// close says that pull is not in the middle of the window any more.
func (e *Edge) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open = false
}

// split moves the edge up if somebody asked, and returns the pieces that this cuts off, oldest first; one more part of what pull
// has not read stays with the shard. Cuts lie on whole milliseconds, as all edges; no piece, if there is not a millisecond for it.
func (e *Edge) split() (pieces []Window) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.open || e.asked == 0 || !e.floor().Finite() {
		return nil
	}
	from := e.floor()
	left := float64(e.reached - from)
	for i := e.asked; i > 0; i-- {
		m := Instant(e.cut(left, i, e.asked+1).CeilMilli() * 1000)
		if m <= from || m <= e.start || m > e.reached {
			continue
		}
		pieces = append(pieces, Window{e.start, m})
		e.start = m
	}
	e.asked = 0
	return pieces
}

const (
	// burst is how many times denser than the attempt as a whole the last page is, where the walk stands in a burst of events.
	burst = 4
	// far is how many times longer than what the attempt has seen the time that is left is, where that says nothing of it.
	far = 16
	// burstPages of such a burst stay with the shard at least.
	burstPages = 4
)

// cut returns the i-th of n cuts, counted from where pull is. They part the time that is left evenly, because nobody knows what is
// in it. In a burst that would leave nearly all that is left of it in the newest part: there each part is as many times longer than
// the one before as it takes to come from some pages to the whole, and so the burst is parted too, however long it is. The same
// where the walk has seen so little that all of it may have been a burst.
func (e *Edge) cut(left float64, i, n int) Instant {
	step, share := max(1000, e.step), float64(i)/float64(n)
	seen := float64(e.first - e.reached)
	if (seen > burst*step*float64(e.pages) || left > far*seen) && left > burstPages*step {
		share = math.Pow(left/(burstPages*step), share-1)
	}
	return e.reached - Instant(left*share)
}
