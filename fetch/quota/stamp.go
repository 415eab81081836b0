package quota

import (
	"slices"
	"time"
)

// What has to be so before the stamps are believed, and how far. Shares are of the window.
const (
	stampsEnough = 16  // of the last two windows
	stampSpread  = 120 // how far the middle one may lie behind the earliest: 0.5 s of a minute
	stampShare   = 200 // what is added to the moment when a request came in: 0.3 s
	stampMost    = 24  // how late it is believed to have come at most: 2.5 s
	stampAgain   = 32  // how often they are looked through
)

// quotaStamps is what the server's clock said when it saw each of the requests of the last two windows, less what ours said when
// they were sent. That is the difference of the clocks and the way there. Of the clocks nothing has to be known: the least is
// the fastest way, and what another took more is how late it came in.
//
// A request that may still count is always among those that the least is taken of. So a clock that is set, or one of several
// clocks, makes requests look late that were not, and never the other way round.
type quotaStamps struct {
	n       int
	least   time.Duration
	spread  time.Duration // from the least to the middle one
	next    time.Time     // when to look them through again
	refuted bool          // somebody was refused who went on their word: for the rest of the run
}

// credible tells whether the stamps are those of requests that come in as they were sent, most of them. Stamps that are
// made up, the same for all, or set by clocks far apart are not.
func (s *quotaStamps) credible(window time.Duration) bool {
	return !s.refuted && s.n >= stampsEnough && s.spread <= window/stampSpread
}

// note takes in the stamp of one more request.
func (s *quotaStamps) note(now time.Time, ahead time.Duration, log quotaLog, window time.Duration) {
	s.least = min(s.least, ahead)
	if now.Before(s.next) {
		return
	}
	var all []time.Duration
	for _, r := range log.after(now.Add(-2 * window)) {
		if r.stamped {
			all = append(all, r.ahead)
		}
	}
	s.next = now.Add(window / stampAgain)
	if s.n = len(all); s.n > 0 {
		slices.Sort(all)
		s.least, s.spread = all[0], all[s.n/2]-all[0]
	}
}

// stamp notes when the server saw r, by its own clock. A whole second is more likely a rounded one.
func (q *quota) stamp(now time.Time, r *quotaRequest, seen time.Time) {
	if r.open || r.stamped || q.limit == Unlimited || seen.UnixMilli()%1000 == 0 {
		return
	}
	r.stamped, r.ahead = true, seen.Sub(r.at.Round(0)) // by the wall clock: the monotonic one stands still while a machine sleeps
	q.stamps.note(now, r.ahead, q.log, q.window)
}

// sees tells whether the moment is known when the server saw a request. It is of use only where the limit is certain, and nobody was
// refused for a while: what was learned last may yet be wrong.
func (q *quota) sees() bool {
	return q.calm && q.sure && q.ceiling > 0 && q.stamps.credible(q.window)
}

// leaves returns when r has left the server's log for certain. Most answers tell when the server has seen their request; without
// that, a request may have been under way for all of the margin.
func (q *quota) leaves(r *quotaRequest) time.Time {
	if !r.stamped || !q.sees() {
		return q.leavesUnseen(r)
	}
	late := min(max(0, r.ahead-q.stamps.least), q.window/stampMost)
	return r.at.Add(q.window + late + max(q.window/stampShare, marginAtLeast))
}

// leavesUnseen is the same where nobody knows when the server has seen it.
func (q *quota) leavesUnseen(r *quotaRequest) time.Time { return r.at.Add(q.window + q.margin()) }
