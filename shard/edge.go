package shard

import (
	"math"
	"sync"
)

// Edge is the older end of a shard's window while the shard is walked. It moves up when fetchers are idle: the shard with the
// most pages left gives them the older part of its window. All methods may be called from any goroutine.
//
// The two halves of an attempt share it. Pull holds it while it judges a page, and then reports how far it has come. Push
// moves it in the commit that stores the pieces, to an instant that pull has not reached yet. So no record in order is judged
// by an outdated edge; and a page judged by an edge whose commit failed is never committed, because it is queued behind that
// commit.
type Edge struct {
	oldest Instant // event known; where a window that is open to the past is taken to start

	mu        sync.Mutex
	start     Instant // of the window
	requested int     // pieces
	midway    bool    // pull is inside the window, at reached
	over      bool    // the end is proven
	first     Instant // event of the attempt
	reached   Instant // the oldest event in order
	step      float64 // microseconds that the last page covers
	pages     int     // from first to reached
}

// NewEdge returns the edge of a window that is about to be walked. oldest is the oldest event known of the source; if it is
// zero, windows that are open to the past are not split.
func NewEdge(w Window, oldest Instant) *Edge { return &Edge{start: w.Start, oldest: oldest} }

// Remaining returns how many pages are expected in the rest of the window, 0 if it cannot be split now, and how many pieces
// of it are already requested. The rate is the mean of the whole attempt's and the last page's: bursts count, but not for
// all of the rest.
func (e *Edge) Remaining() (pages float64, requested int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.remaining(), e.requested
}

// NearlyDone reports whether the fetcher of the walk will soon be free: the end is proven, or no page is expected after the
// one it waits for.
func (e *Edge) NearlyDone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over || e.midway && e.remaining() <= 1
}

// RequestSplit asks for one more piece of the window. It is cut off with the next commit, if the window can be split then.
func (e *Edge) RequestSplit() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requested++
}

// remaining needs mu, like floor, advance and cut.
func (e *Edge) remaining() float64 {
	if !e.midway || e.reached <= e.floor() {
		return 0
	}
	seen := max(1000, float64(e.first-e.reached))
	rate := (float64(e.pages)/seen + 1/max(1000, e.step)) / 2
	return rate * float64(e.reached-e.floor())
}

// floor returns the edge as a point in time.
func (e *Edge) floor() Instant {
	if e.start == Past && e.oldest != 0 {
		return e.oldest
	}
	return e.start
}

// advance records that pull has read a page from newest to oldest, and is inside the window.
func (e *Edge) advance(newest, oldest Instant) {
	if e.pages == 0 {
		e.first = newest
	}
	e.midway, e.reached, e.step = true, oldest, float64(newest-oldest)
	e.pages++
}

// close records that pull is not inside the window any more.
func (e *Edge) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.midway = false
}

// split moves the edge up if pieces were requested, and returns the pieces this cuts off, oldest first. One more part of what
// pull has not read stays with the shard. Like all edges, cuts lie on whole milliseconds; a piece shorter than one is left out.
func (e *Edge) split() (pieces []Window) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.midway || e.requested == 0 || !e.floor().Finite() {
		return nil
	}
	from := e.floor()
	left := float64(e.reached - from)
	for i := e.requested; i > 0; i-- {
		m := Instant(e.cut(left, i, e.requested+1).CeilMilli() * 1000)
		if m <= from || m <= e.start || m > e.reached {
			continue
		}
		pieces = append(pieces, Window{e.start, m})
		e.start = m
	}
	e.requested = 0
	return pieces
}

const (
	// burst: the walk is in a burst of events if the last page is this many times denser than the attempt as a whole.
	burst = 4
	// far: if the rest of the window is this many times longer than what the attempt has seen, that says nothing about the rest.
	far = 16
	// burstPages of a burst stay with the shard, at least.
	burstPages = 4
)

// cut returns the i-th of n cuts, counted from where pull is. Cuts divide the rest of the window evenly, because nothing is
// known about it. In a burst that would leave nearly all of the burst in the newest part. There each part is longer than the
// one before by a constant factor, chosen so that they grow from burstPages to the whole: this divides the burst too, however
// long it is. The same is done if the attempt has seen so little that all of it may have been a burst.
func (e *Edge) cut(left float64, i, n int) Instant {
	step, share := max(1000, e.step), float64(i)/float64(n)
	seen := float64(e.first - e.reached)
	if (seen > burst*step*float64(e.pages) || left > far*seen) && left > burstPages*step {
		share = math.Pow(left/(burstPages*step), share-1)
	}
	return e.reached - Instant(left*share)
}
