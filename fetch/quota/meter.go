package quota

import "time"

// quotaMeter measures how much of a quota is used. A request occupies one of the limit's places for a window, so the
// use is the time for which places were occupied by us, as a share of all places and all the time. (Requests come in
// bursts: counting them would swing between half and twice the truth.) It starts one window after the limit became
// known: until then places are empty that nobody could have filled.
type quotaMeter struct {
	limit    Limit // that the figures below belong to
	from, to time.Time
	occupied time.Duration // sum over the places
}

// read brings the meter up to now. l is the limit, and log holds at least what was sent since the last reading and
// the window before.
func (m *quotaMeter) read(now time.Time, l Limit, log quotaLog) {
	if m.limit != l {
		start := now.Add(l.Window)
		*m = quotaMeter{limit: l, from: start, to: start}
	}
	if l.N <= 0 || !now.After(m.to) {
		return
	}
	for _, r := range log.after(m.to.Add(-l.Window)) {
		if r.origin != ofThisRun || r.refused {
			continue
		}
		end := r.at.Add(l.Window)
		m.occupied += earlierOf(end, now).Sub(laterOf(r.at, m.to))
	}
	m.to = now
}

// share returns the use, 1 being all that the server allows; 0 while nothing can be said.
func (m *quotaMeter) share() float64 {
	if !m.to.After(m.from) {
		return 0
	}
	return m.occupied.Seconds() / (float64(m.limit.N) * m.to.Sub(m.from).Seconds())
}
