package fetch

import "time"

// refuse draws the consequences of a refusal: everybody pauses, then one request goes alone, and the limit is judged
// anew.
//
// The requests that were under way when the first refusal came back are refused as well. They are one overshoot: each
// of them lowers the number of requests that were accepted, so each is judged from what was believed before it, and
// the order in which they come back makes no difference.
func (q *quota) refuse(now time.Time, r *quotaRequest, a Answer) {
	r.refused = true
	q.refusals++
	if q.limit == Unlimited { // so it is not; and there is no log to learn from
		q.known, q.quotaTerms = LimitUnknown, unknownTerms()
	}
	if r.at.After(q.refusedAt) {
		q.refusedAt, q.overshotAt, q.before = now, r.at, q.quotaTerms
		q.proven = false
		q.strikes++
	} else {
		q.reconsider(r)
	}
	q.hold(now, a.RetryAfter)
	q.judge(now, r, a)
}

// judge finds the limit that explains the refusal of r.
func (q *quota) judge(now time.Time, r *quotaRequest, a Answer) {
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
func (q *quota) reconsider(r *quotaRequest) {
	window, sure := q.window, q.sure
	q.quotaTerms = q.before
	if sure {
		q.window, q.sure = window, sure
	}
	if r.at.Before(q.overshotAt) {
		q.overshotAt = r.at
	}
}

// counted returns how many requests of ours the server had counted when it began to refuse.
func (q *quota) counted() int { return q.recent(q.overshotAt).counted(q.overshotAt) }

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
	case retryAfter > 0 && !q.sure && q.strikes < 2:
		q.window, q.sure = q.log.window(r.at, retryAfter)
	case retryAfter > 0:
	case first:
		q.sure = true
	case q.counted() == 0:
		q.window, q.sure = min(2*q.window, longestPause), false
	}
}

// adopt takes n for the limit. Only in a window that is certain it is also the most that can be had.
func (q *quota) adopt(now time.Time, n int) {
	q.settle(n)
	q.known = LimitLearned
	if !q.sure {
		q.ceiling = 0
	}
	q.raiseAt = now.Add(time.Duration(q.patience) * q.window)
}

// The steps and the most by which the margin grows, in shares of the window, and at most half a second a step.
const (
	lateShare = 120
	lateStep  = 500 * time.Millisecond
	lateSteps = 5
)

// yield draws the consequence of a refusal that nobody foresaw, where n requests were accepted.
func (q *quota) yield(now time.Time, n int) {
	step := min(lateStep, q.window/lateShare)
	switch {
	case q.limit > q.low: // what was asked back is not to be had yet
		q.patience = min(4*q.patience, 64)
		n = min(n, q.low)
	case n >= q.limit-1 && q.late < lateSteps*step: // the log was as full as we thought: requests came in closer than sent
		q.late += step
		return
	}
	q.limit, q.low = max(n, 1), max(n, 1)
	q.raiseAt = now.Add(time.Duration(q.patience) * q.window)
}
