package quota

import (
	"slices"
	"time"
)

// The conditions under which stamps are believed, and how far. Shares are of the window.
const (
	stampsEnough    = 16  // stamped requests in the last two windows
	stampSpread     = 120 // the median may be this much behind the earliest: 0.5 s of a minute
	stampShare      = 200 // added to the moment when a request arrived: 0.3 s
	stampLate       = 24  // a request is believed to have arrived at most this late: 2.5 s
	stampRecomputed = 32  // how often the stamps are looked through
)

// stamps compares, for the requests of the last two windows, the server's clock when it saw a request with ours when it was sent. The
// difference is that of the two clocks plus the time on the way. Nothing has to be known of the clocks: the least difference is the
// fastest way, and the excess of another request is how late it arrived.
//
// A request that may still count is always among those that the least is taken of. So a server's clock that is set, or one of several
// clocks, makes requests look late that were not, and never the other way round.
type stamps struct {
	n       int
	least   time.Duration
	spread  time.Duration // from the least to the median
	next    time.Time     // when to look through them again
	refuted bool          // a request that went because of them was refused: they are ignored for the rest of the run
}

// credible reports whether the stamps are those of requests most of which arrive as they were sent. Stamps that are made up, the same
// for all, or set by clocks far apart are not.
func (s *stamps) credible(window time.Duration) bool {
	return !s.refuted && s.n >= stampsEnough && s.spread <= window/stampSpread
}

// add takes in the stamp of one more request.
func (s *stamps) add(now time.Time, ahead time.Duration, log requestLog, window time.Duration) {
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
	s.next = now.Add(window / stampRecomputed)
	if s.n = len(all); s.n > 0 {
		slices.Sort(all)
		s.least, s.spread = all[0], all[s.n/2]-all[0]
	}
}

// stamp notes when the server saw r, by its own clock. A whole second is ignored: it is more likely a rounded time.
func (q *quota) stamp(now time.Time, r *request, seen time.Time) {
	if r.open || r.stamped || q.limit == Unlimited || seen.UnixMilli()%1000 == 0 {
		return
	}
	r.stamped, r.ahead = true, seen.Sub(r.at.Round(0)) // by the wall clock: the monotonic one stands still while a machine sleeps
	q.stamps.add(now, r.ahead, q.log, q.window)
}

// seesArrivals reports whether it is known when requests arrive at the server. That helps only if the limit is certain and there was
// no refusal for a while, since what was learned last may be wrong.
func (q *quota) seesArrivals() bool {
	return q.calm && q.sure && q.ceiling > 0 && q.stamps.credible(q.window)
}

// leaves returns when r has certainly left the server's log. Most answers say when the server saw their request; without that, a
// request may have been under way for all of the margin.
func (q *quota) leaves(r *request) time.Time {
	if !r.stamped || !q.seesArrivals() {
		return r.at.Add(q.window + q.margin())
	}
	late := min(max(0, r.ahead-q.stamps.least), q.window/stampLate)
	return r.at.Add(q.window + late + max(q.window/stampShare, marginAtLeast))
}
