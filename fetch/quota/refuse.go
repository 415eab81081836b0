package quota

import "time"

// refuse draws the consequences of a refusal: everybody pauses, then one request goes alone, and the limit is judged
// anew.
//
// The requests that were under way when the first refusal came back are refused as well. They are one overshoot: each
// of them lowers the number of requests that were accepted, so each is judged from what was believed before it, and
// the order in which they come back makes no difference.
func (q *quota) refuse(now time.Time, r *quotaRequest, a Answer) {
	r.refused, q.calm = true, false
	q.refusals++
	if q.limit == Unlimited { // so it is not; and there is no log to learn from
		q.known, q.quotaTerms = Unknown, unknownTerms()
	}
	if r.at.After(q.refusedAt) {
		q.refusedAt, q.before, q.freeBefore = now, q.quotaTerms, q.freeAt
		q.overshoot(r, a)
		q.proven = false
		q.strikes++
	} else {
		q.reconsider()
		if r.at.Before(q.overshotAt) {
			q.overshoot(r, a)
		}
	}
	q.hold(now, a.RetryAfter)
	if q.limit > 0 && !r.trial && now.Sub(q.givenBack) < 2*q.window {
		q.hitsCount = true
	}
	if r.early && !r.trial { // it went only because of the stamps: that is what was wrong
		q.stamps.refuted = true
		return
	}
	q.judge(now, r, a)
}

// judge finds the limit that explains the refusal of r.
func (q *quota) judge(now time.Time, r *quotaRequest, a Answer) {
	q.mute = a.Limit == 0 && a.RetryAfter == 0
	if window, n := q.log.explain(q.overshotAt); q.mute && n > 0 {
		q.window, q.sure = window, true
		q.adopt(now, n)
		return
	}
	first := q.limit == 0
	if a.Limit == 0 {
		q.findWindow(r, a.RetryAfter, first)
	}
	n := q.counted()
	switch {
	case n == 0: // others have taken everything, or the window is much longer than we think
		q.holdFor(now, min(q.window<<min(q.strikes-1, 4), longestPause))
	case first, q.sure != q.before.sure:
		q.adopt(now, n)
	default:
		q.yield(now, n)
	}
}

// reconsider returns to what was believed before the overshoot, except for the window, if that was found.
func (q *quota) reconsider() {
	window, sure := q.window, q.sure
	q.quotaTerms = q.before
	if sure {
		q.window, q.sure = window, sure
	}
}

// overshoot notes the first refused request of an overshoot.
func (q *quota) overshoot(r *quotaRequest, a Answer) {
	q.overshotAt, q.freeAt = r.at, time.Time{}
	if a.RetryAfter > 0 {
		q.freeAt = r.at.Add(a.RetryAfter)
	}
}

// counted returns how many requests of ours the server had counted when it began to refuse. What it counted began a window before
// it forgets something: with the oldest request in its log, or, where its windows do not slide, with the window, and those
// before that must not be taken for part of the limit. (A server that always says the same tells nothing by it: then it
// seems to have counted hardly any.)
func (q *quota) counted() int {
	all := q.recent(q.overshotAt)
	n := all.counted(q.overshotAt)
	if q.freeAt.IsZero() {
		return n
	}
	begun := q.freeAt.Add(-q.window - time.Second - q.margin()) // Retry-After is rounded up to seconds
	if since := all.after(begun).counted(q.overshotAt); 2*since > n {
		return since
	}
	return n
}

// hold makes everybody wait: as long as told, counted from the reply, which is the safe side. If that did not help
// before, or nothing was told, until the whole log has drained: our own refused requests are in it, and one too early
// would keep it full for ever.
func (q *quota) hold(now time.Time, told time.Duration) {
	wait := told
	if q.strikes > 1 || told == 0 {
		wait = max(told, q.window+q.margin())
	}
	q.holdFor(now, wait)
}

func (q *quota) holdFor(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(q.pause) {
		q.pause = until
	}
}

// findWindow learns how long the server's log reaches back, where headers do not say it. A server that gives no
// Retry-After is believed to count by the minute, and to reach back twice as far as was thought when it refuses
// though nothing of ours can be in its log.
func (q *quota) findWindow(r *quotaRequest, retryAfter time.Duration, first bool) {
	switch {
	case retryAfter > 0 && !q.sure && q.aligned():
		q.window, q.sure = guessWindow, true
	case retryAfter > 0 && !q.sure && q.strikes < 2:
		q.window, q.sure = q.log.window(r.at, retryAfter)
	case retryAfter > 0:
	case first:
		q.sure = true
	case q.counted() == 0:
		q.window, q.sure = min(2*q.window, longestPause), false
	}
}

// aligned tells whether the server said of two overshoots that it forgets something a whole number of guessed windows apart: its
// windows do not slide, but follow one another. One time in twenty that is chance; where headers say what the limit is,
// nothing is to be had from it.
func (q *quota) aligned() bool {
	if q.known == Announced || q.freeBefore.IsZero() || q.freeAt.IsZero() {
		return false
	}
	_, near := whole(q.freeAt.Sub(q.freeBefore), guessWindow)
	return near
}

// adopt takes n for the limit. Only in a window that is certain it is also the most that can be had.
func (q *quota) adopt(now time.Time, n int) {
	q.settle(n)
	q.doubt = q.recent(q.overshotAt).doubtful()
	q.ceiling += q.doubt
	q.known = Learned
	if !q.sure {
		q.ceiling, q.doubt = 0, 0
	}
	q.raiseAt = now.Add(time.Duration(q.patience) * q.window)
	if q.doubt > 0 { // the list may tell
		q.raiseAt = q.raiseAt.Add(doubtWindows * q.window)
	}
}

// doubtWindows is for how long it is left open whether answers from the cache are free, before it is tried out.
const doubtWindows = 4

// The steps and the most by which the margin grows, in shares of the window, and at most half a second a step.
const (
	lateShare = 120
	lateStep  = 500 * time.Millisecond
	lateSteps = 5
)

// longestPatience is how many windows may pass until what was yielded is asked back once more.
const longestPatience = 64

// yield draws the consequence of a refusal that nobody foresaw, where n requests were accepted.
func (q *quota) yield(now time.Time, n int) {
	q.doubt = 0
	step := min(lateStep, q.window/lateShare)
	switch {
	case q.limit > q.low: // what was asked back is not to be had yet
		q.patience = min(4*q.patience, longestPatience)
		if n == q.low { // nor will it be: others would not leave us the very same twice
			q.patience, q.sure, q.before.sure = longestPatience, true, true
		}
		n = min(n, q.low)
	case n >= q.limit-1 && q.late < lateSteps*step && !q.aligned(): // as full as we thought: requests came in closer than sent
		q.late += step
		return
	}
	q.limit, q.low = max(n, 1), max(n, 1)
	q.raiseAt = now.Add(time.Duration(q.patience) * q.window)
}
