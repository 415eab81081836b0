package quota

import "time"

// observe takes note of what became of a request. Only the first time counts for each.
func (q *quota) observe(now time.Time, r *quotaRequest, a Answer) {
	if !r.open {
		return
	}
	q.land(r)
	if a.Limit > 0 {
		q.obey(r, a)
	}
	r.cached = a.Cached && !a.Refused
	if a.Free && !a.Refused {
		q.log.remove(r)
		q.givenBack = now
	}
	switch {
	case a.Refused:
		q.refuse(now, r, a)
	case a.RetryAfter > 0: // the API is out of order, and says for how long
		q.holdFor(now, a.RetryAfter)
	case r.at.After(q.refusedAt):
		q.accept(r)
	}
	q.bucket.SetLimitAt(now, q.speed(now))
}

// hear notes that the answer to a request is a refusal.
func (q *quota) hear(r *quotaRequest) {
	if r.open && !r.heard {
		r.heard = true
		q.hearing++
	}
}

// land notes that a request is over.
func (q *quota) land(r *quotaRequest) {
	r.open = false
	q.flying--
	if r.heard {
		q.hearing--
	}
	if r.trial {
		q.trials--
	}
}

// calmWindows is for how long nobody may have been refused before the margin shrinks: what was learned last may yet be wrong.
const calmWindows = 2

// accept ends the caution after a refusal, and that of the very first request: with its reply, the list says what its
// limit is.
func (q *quota) accept(r *quotaRequest) {
	q.strikes = 0
	q.calm = r.at.After(q.refusedAt.Add(calmWindows * q.window))
	q.headerless = max(0, q.headerless-1)
	q.proven = q.limit != 0 || q.headerless == 0
}

// release takes back a request that was never sent.
func (q *quota) release(r *quotaRequest) {
	if !r.open {
		return
	}
	q.land(r)
	q.log.remove(r)
}

// restamp moves r to the moment when it was written.
func (q *quota) restamp(now time.Time, r *quotaRequest) {
	if r.open && q.limit != Unlimited {
		q.log.remove(r)
		r.at, r.mark = now, time.Time{}
		q.log.add(r)
	}
}

// shortestReset is the least that is believed of a window. On a server with fixed windows the first reset is what is
// left of the window that is just running.
const shortestReset = 10 * time.Second

// obey follows the server's headers.
func (q *quota) obey(r *quotaRequest, a Answer) {
	reset := min(a.Reset, longestWindow)
	if alone := a.Remaining == a.Limit-1; alone && reset > 0 && q.known == Unknown {
		q.window = max(reset, shortestReset) // ours is the only request in there: its time is the whole window
	} else {
		q.window = max(q.window, reset)
	}
	q.sure = true
	if q.known != Announced || q.ceiling != a.Limit {
		q.settle(a.Limit)
		q.known = Announced
	}
	q.book(r, a.Limit-a.Remaining)
}

// mostOthers is how many requests of others are booked at once. A server that allows thousands and has given them to
// others says so by refusing.
const mostOthers = 1000

// book enters into the log what the server has counted and we did not send. It is compared with what was ours at the
// time of r, because the reply is seconds old; and requests sent just after r may have overtaken it.
func (q *quota) book(r *quotaRequest, used int) {
	end := r.at.Add(min(time.Second, q.window/marginShare))
	n := len(q.recent(r.at).upTo(end))
	for range min(used-n, mostOthers) {
		other := &quotaRequest{origin: ofOthers}
		// What a later request has shown of others was there already, when this one shows it too.
		for _, later := range q.log.after(end) {
			if later.origin == ofOthers {
				other = later
				q.log.remove(later)
				break
			}
		}
		other.at = r.at
		q.log.add(other)
	}
}
