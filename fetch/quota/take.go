package quota

import (
	"time"

	"golang.org/x/time/rate"
)

// untilReply is the wait for something that only a reply can bring.
const untilReply = 1<<63 - 1

// take lets one request through, or says how long to wait before it is worth asking again. Nothing is reserved in the
// future, so that a pause, a limit just learned and a stop take effect at once.
func (q *quota) take(now time.Time) (*quotaRequest, time.Duration) {
	if wait := q.wait(now); wait > 0 {
		return nil, wait
	}
	r := &quotaRequest{at: now, open: true, trial: q.beyond(now), early: q.untilFreeUnseen(now) > 0}
	q.flying++
	if r.trial {
		q.trials++
	}
	if q.limit != Unlimited {
		q.meter.read(now, q.full(), q.log)
		q.log.forget(now.Add(-q.memory()))
		q.log.add(r)
		q.bucket.SetLimitAt(now, q.speed(now))
	}
	return r, 0
}

// memory is how far back the log is needed: to learn a window, as far as the longest reaches; for one that is known,
// far enough to see that it is twice as long.
func (q *quota) memory() time.Duration {
	if q.sure && !q.mute {
		return 3 * q.window
	}
	return max(3*q.window, longestPause)
}

// wait returns how long to wait before the next request may go. Zero spends a token of the bucket.
func (q *quota) wait(now time.Time) time.Duration {
	switch {
	case q.hearing > 0:
		return untilReply
	case now.Before(q.pause):
		return q.pause.Sub(now)
	case q.limit == Unlimited:
		return 0
	case !q.proven && q.flying > 0:
		return untilReply
	}
	q.raise(now)
	if q.trials > 0 && q.beyond(now) {
		return untilReply
	}
	if wait := q.untilFree(now); wait > 0 {
		return wait
	}
	if !q.bucket.AllowN(now, 1) {
		return q.untilToken(now)
	}
	return 0
}

// raise asks back half of what was yielded to others.
func (q *quota) raise(now time.Time) {
	if q.limit == 0 || q.limit == q.ceiling && q.low == q.limit || now.Before(q.raiseAt) {
		return
	}
	q.low = q.limit // it has held
	if q.limit == q.ceiling {
		return
	}
	if q.ceiling > 0 {
		q.limit += (q.ceiling - q.limit + 1) / 2
	} else {
		q.limit += (q.limit + 1) / 2
	}
	q.raiseAt = now.Add(time.Duration(q.patience) * q.window)
}

// beyond tells whether one more request is more than has held so far. Such requests go one at a time, so that what was asked
// back in vain costs one refusal.
func (q *quota) beyond(now time.Time) bool {
	if q.limit <= q.low {
		return false
	}
	r := q.log.ours(q.low)
	return r != nil && q.leaves(r).After(now)
}

// untilToken returns the time until the bucket has a whole token. Rounding must not make it nothing, which would let the
// request through without one.
func (q *quota) untilToken(now time.Time) time.Duration {
	missing := 1 - q.bucket.TokensAt(now)
	return time.Duration(missing/float64(q.bucket.Limit())*float64(time.Second)) + time.Microsecond
}

// speed returns how fast requests may follow one another.
func (q *quota) speed(now time.Time) rate.Limit {
	if q.limit > 0 {
		return max(quotaSpeed, rate.Limit(6*float64(q.limit)/q.window.Seconds()))
	}
	n, runs := len(q.log.after(now.Add(-q.window))), rate.Limit(1+q.share.others) // who find it out together
	if n < slowStart {
		return quotaSpeed / runs
	}
	return min(quotaSpeed, max(slowStartFloor, rate.Limit(n)/slowStart)) / runs
}
