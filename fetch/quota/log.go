package quota

import (
	"slices"
	"sort"
	"time"
)

// request is one request as the server's limiter has counted it, as far as we know.
type request struct {
	at       time.Time // when it was sent
	mark     time.Time // the same by the table's clock, by which runs identify it; zero means the table does not have it yet
	booked   bool      // the other runs know of it before it is sent, or there are none
	origin   origin
	refused  bool
	open     bool // it is neither observed nor returned
	refusing bool // its answer has begun and is a refusal
	trial    bool // it goes beyond the limit that has held so far
	cached   bool // its answer came from the API's cache, and it is not known whether that counts
	overdue  bool // it tries a long window that is not certain
	early    bool // it was let through because the server's stamps allowed it

	stamped bool
	ahead   time.Duration // the server's clock when it saw the request, less ours when it was sent
}

// origin says who sent a request.
type origin uint8

const (
	ofThisRun    origin = iota
	ofAnotherRun        // of Sluice, known from the table: an earlier one or a concurrent one
	ofOthers            // sent by some other program: the server has counted it
)

// requestLog is a copy of the server's log, by time of sending. It includes refused requests, because the server counts them too.
type requestLog []*request

// add inserts r by its time. That is at the end, except for requests of others and those written later than they were let through.
func (l *requestLog) add(r *request) {
	i := len(*l)
	for i > 0 && (*l)[i-1].at.After(r.at) {
		i--
	}
	*l = slices.Insert(*l, i, r)
}

func (l *requestLog) remove(r *request) {
	if i := slices.Index(*l, r); i >= 0 {
		*l = slices.Delete(*l, i, i+1)
	}
}

// forget drops the requests sent before t.
func (l *requestLog) forget(t time.Time) {
	for len(*l) > 0 && (*l)[0].at.Before(t) {
		*l = (*l)[1:]
	}
}

// after returns the requests sent after t.
func (l requestLog) after(t time.Time) requestLog {
	return l[sort.Search(len(l), func(i int) bool { return l[i].at.After(t) }):]
}

// upTo returns the requests sent at t or before.
func (l requestLog) upTo(t time.Time) requestLog { return l[:len(l)-len(l.after(t))] }

// accepted counts the requests that we sent, without the refusals of the overshoot that began at the given time. Requests without
// an answer yet count as accepted; those that the server may not have counted do not, nor do those that other runs sent after our
// refusal, to a log that was full.
func (l requestLog) accepted(overshotAt time.Time) int {
	n := 0
	for _, r := range l {
		refused := r.refused || r.origin == ofAnotherRun
		if r.origin != ofOthers && !r.cached && !(refused && !r.at.Before(overshotAt)) {
			n++
		}
	}
	return n
}

// doubtful counts the requests of which it is not known whether the server has counted them.
func (l requestLog) doubtful() int {
	n := 0
	for _, r := range l {
		if r.cached {
			n++
		}
	}
	return n
}

// ours returns the n-th last request that we sent, or nil if there are fewer.
func (l requestLog) ours(n int) *request {
	for _, r := range slices.Backward(l) {
		if r.origin != ofOthers {
			n--
		}
		if n == 0 {
			return r
		}
	}
	return nil
}

// How the window is read from a Retry-After, which the server rounds up to whole seconds, and to which the network adds its jitter.
const (
	windowGrain   = time.Minute             // windows are multiples of it
	windowAbove   = 1900 * time.Millisecond // a reading may be too long by this much
	windowBelow   = 900 * time.Millisecond  // or too short by this much
	shortestGuess = guessWindow * 9 / 10    // a shorter window began with a request that was not ours
	gapSlack      = 1900 * time.Millisecond
)

// window returns the length of the server's sliding log, from a refusal of a request sent at the given time, and whether it was
// found. Retry-After is the time until the oldest request in the server's log leaves it, and the request before that one has left
// already. So the oldest is preceded by a gap as long as the Retry-After, or it is our first. Each such request is a candidate; the
// one whose window is nearest to the guess is taken.
func (l requestLog) window(refused time.Time, retryAfter time.Duration) (time.Duration, bool) {
	best, found := guessWindow, false
	for i, r := range l.upTo(refused) {
		if i > 0 && r.at.Sub(l[i-1].at) < retryAfter-gapSlack {
			continue
		}
		w, near := roundTo(windowGrain, refused.Add(retryAfter).Sub(r.at))
		if near && w >= shortestGuess && w <= longestPause && (!found || (w-guessWindow).Abs() < (best-guessWindow).Abs()) {
			best, found = w, true
		}
	}
	return best, found
}

// roundTo rounds w to a multiple of the grain, and reports whether w was near to it.
func roundTo(grain, w time.Duration) (time.Duration, bool) {
	above := w % grain
	if below := grain - above; below <= windowBelow {
		return w + below, true
	}
	return w - above, above <= windowAbove
}

// explain returns the shortest window, in whole minutes, for which one limit explains every request that the server accepted and
// every one that it refused, and the most requests that it accepted in one such window. Both are zero if there is none. Nothing more
// can be learned from a server whose refusals carry no figures.
func (l requestLog) explain(overshotAt time.Time) (window time.Duration, limit int) {
	for w := guessWindow; w <= longestPause; w += guessWindow {
		if accepted, refused := l.bounds(w, overshotAt); accepted <= refused {
			return w, accepted
		}
	}
	return 0, 0
}

// bounds returns the maximum number of requests in a window that ends with an accepted one, and the minimum in one before a refused
// one. A request at the edge of the window is counted so that it makes less of a difference, and one that is still in flight is
// taken for accepted, as in accepted.
func (l requestLog) bounds(w time.Duration, overshotAt time.Time) (accepted, refused int) {
	const jitter = time.Second
	refused = len(l)
	for i, r := range l {
		switch {
		case r.origin == ofOthers, r.open && r.at.After(overshotAt):
		case r.refused:
			refused = min(refused, len(l[:i].after(r.at.Add(-w-jitter))))
		default:
			accepted = max(accepted, len(l[:i+1].after(r.at.Add(-w+jitter))))
		}
	}
	return accepted, refused
}

func earlier(s, t time.Time) time.Time {
	if t.Before(s) {
		return t
	}
	return s
}

func later(s, t time.Time) time.Time {
	if t.After(s) {
		return t
	}
	return s
}
