package quota

import "time"

const (
	// doubtWindows is for how many windows it is left open whether answers from the cache are free, before it is tried.
	doubtWindows = 4
	// maxPatience is the maximum number of windows to wait before what was yielded to others is tried again.
	maxPatience = 64

	// The margin grows in steps of this share of the window, or half a second if that is less, up to this many steps.
	lateShare = 120
	lateStep  = 500 * time.Millisecond
	lateSteps = 5
)

// refuse draws the consequences of a refusal: all requests pause, then one goes alone, and the limit is judged anew.
//
// The requests that were in flight when the first refusal came back are refused as well. They are one overshoot. Each of them lowers
// the number of requests that were accepted, so each is judged from what was believed before the overshoot, and the order in which
// they come back makes no difference.
func (q *quota) refuse(now time.Time, r *request, a Answer) {
	r.refused, q.calm = true, false
	q.refusals++
	if q.limit == Unlimited { // it was not; and there is no log to learn from
		q.known, q.terms = Unknown, unknownTerms()
	}
	if r.at.After(q.refusedAt) {
		q.refusedAt, q.before, q.freeBefore = now, q.terms, q.freeAt
		q.overshoot(r, a)
		q.proven = false
		q.strikes++
	} else {
		window, sure := q.window, q.sure
		q.terms = q.before
		if sure { // the window was found by an earlier refusal of this overshoot
			q.window, q.sure = window, sure
		}
		if r.at.Before(q.overshotAt) {
			q.overshoot(r, a)
		}
	}

	// The pause is as long as the server asks, counted from the answer, which is the safe side. If that did not help last time, or
	// if the server did not say, it lasts until the whole log has drained: our own refused requests are in it, and one request too
	// early would keep it full for ever.
	pause := a.RetryAfter
	if q.strikes > 1 || pause == 0 {
		pause = max(pause, q.window+q.margin())
	}
	q.pauseFor(now, pause)

	if q.limit > 0 && !r.trial && now.Sub(q.givenBack) < 2*q.window {
		q.hitsCount = true
	}
	if r.early && !r.trial { // it went only because of the stamps: these were wrong
		q.stamps.refuted = true
		return
	}
	if r.overdue && q.known != Announced {
		return // the window is as long as was learned
	}
	q.judge(now, r, a)
}

// overshoot notes the first refused request of an overshoot.
func (q *quota) overshoot(r *request, a Answer) {
	q.overshotAt, q.freeAt = r.at, time.Time{}
	if a.RetryAfter > 0 {
		q.freeAt = r.at.Add(a.RetryAfter)
	}
}

func (q *quota) pauseFor(now time.Time, d time.Duration) { q.pause = later(q.pause, now.Add(d)) }

// judge finds the limit that explains the refusal of r.
func (q *quota) judge(now time.Time, r *request, a Answer) {
	q.mute = a.Limit == 0 && a.RetryAfter == 0
	if q.mute {
		if window, n := q.log.explain(q.overshotAt); n > 0 {
			q.window, q.sure = window, true
			q.adopt(now, n)
			return
		}
	}
	first := q.limit == 0
	if a.Limit == 0 {
		q.findWindow(r, a.RetryAfter, first)
	}
	n := q.accepted()
	switch {
	case n == 0: // others have taken everything, or the window is much longer than we think
		q.pauseFor(now, min(q.window<<min(q.strikes-1, 4), longestPause))
	case first, q.sure != q.before.sure:
		q.adopt(now, n)
	default:
		q.yield(now, n)
	}
}

// accepted returns how many requests of ours the server had counted when it began to refuse. It began to count a window before it
// forgets a request: with the oldest request in its log, or, if its windows do not slide, with the window, and the requests before
// that must not be taken for part of the limit. (A server that always sends the same Retry-After says nothing by it: then it seems
// to have counted hardly any.)
func (q *quota) accepted() int {
	all := q.recent(q.overshotAt)
	n := all.accepted(q.overshotAt)
	if q.freeAt.IsZero() {
		return n
	}
	begun := q.freeAt.Add(-q.window - time.Second - q.margin()) // Retry-After is rounded up to seconds
	if since := all.after(begun).accepted(q.overshotAt); 2*since > n {
		return since
	}
	return n
}

// findWindow learns how long the server's log reaches back, if headers do not say it. A server that sends no Retry-After is taken to
// count by the minute, and to reach back twice as far as was thought if it refuses though nothing of ours can be in its log.
func (q *quota) findWindow(r *request, retryAfter time.Duration, first bool) {
	switch {
	case retryAfter > 0 && !q.sure && q.aligned():
		q.window, q.sure = guessWindow, true
	case retryAfter > 0 && !q.sure && q.strikes < 2:
		q.window, q.sure = q.log.window(r.at, retryAfter)
	case retryAfter > 0:
	case first:
		q.sure = true
	case q.accepted() == 0:
		q.window, q.sure = min(2*q.window, longestPause), false
	}
}

// aligned reports whether the server forgets requests, as it said of two overshoots, a whole number of guessed windows apart: its
// windows do not slide, but follow one another. One time in twenty that is chance; if headers announce the limit, nothing is gained
// by it.
func (q *quota) aligned() bool {
	if q.known == Announced || q.freeBefore.IsZero() || q.freeAt.IsZero() {
		return false
	}
	_, near := roundTo(guessWindow, q.freeAt.Sub(q.freeBefore))
	return near
}

// adopt takes n for the limit. It is also the server's limit if the window is certain.
func (q *quota) adopt(now time.Time, n int) {
	q.settle(n)
	q.doubt = q.recent(q.overshotAt).doubtful()
	q.ceiling += q.doubt
	q.known = Learned
	if !q.sure {
		q.ceiling, q.doubt = 0, 0
	}
	q.raiseAt = now.Add(time.Duration(q.patience) * q.window)
	if q.doubt > 0 { // an endpoint that announces its count may resolve it before
		q.raiseAt = q.raiseAt.Add(doubtWindows * q.window)
	}
}

// yield draws the consequence of an unexpected refusal, after n requests were accepted.
func (q *quota) yield(now time.Time, n int) {
	q.doubt = 0
	step := min(lateStep, q.window/lateShare)
	switch {
	case q.limit > q.low: // the limit was raised too early
		q.patience = min(4*q.patience, maxPatience)
		if n == q.low { // or for ever: others would not leave us exactly the same twice
			q.patience, q.sure, q.before.sure = maxPatience, true, true
		}
		n = min(n, q.low)
	case n >= q.limit-1 && q.late < lateSteps*step && !q.aligned(): // as full as expected: requests arrived closer together than sent
		q.late += step
		return
	}
	q.limit, q.low = max(n, 1), max(n, 1)
	q.raiseAt = now.Add(time.Duration(q.patience) * q.window)
}
