package quota

import "time"

// Source says where a limit is known from.
type Source uint8

// The sources of a limit.
const (
	Unknown    Source = iota
	Configured        // for this run
	Remembered        // from an earlier run, or one beside this
	Announced         // by the server's headers
	Learned           // from the server's refusals
)

// String returns the word for a source that metrics and JSON use.
func (s Source) String() string {
	return [...]string{"unknown", "told", "remembered", "announced", "learned"}[s]
}

// Status is the state of one quota, for people.
type Status struct {
	Name        string // of the quota
	Limit       Limit  // that we allow ourselves now; less than the server's while others spend of it
	Known       Source
	Recent      int       // requests that the server should have in its window now
	Used        float64   // share of the allowed requests that was used since the limit is known; zero while it is too early to say
	Refusals    int       // since the start
	PausedUntil time.Time // zero or past if the quota is not paused
	Waiting     int       // callers of Take that would take a slot of it
	InFlight    int       // slots that are neither observed nor returned
}

// Status returns the state of every quota, in the order of Config.Quotas.
func (p *Pacer) Status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var all []Status
	for i, q := range p.quotas {
		q.meter.read(now, q.full(), q.log)
		s := q.status(now)
		for _, w := range p.queue {
			if w.wants.has(i) {
				s.Waiting++
			}
		}
		all = append(all, s)
	}
	return all
}

func (q *quota) status(now time.Time) Status {
	s := Status{
		Name:        q.name,
		Known:       q.known,
		Recent:      len(q.log.after(now.Add(-q.window))),
		Used:        q.meter.share(),
		Refusals:    q.refusals,
		PausedUntil: q.pause,
		InFlight:    q.inFlight,
	}
	switch {
	case q.limit == Unlimited:
		s.Limit.N = Unlimited
	case q.limit > 0:
		s.Limit = Limit{N: q.limit, Window: q.window}
	}
	return s
}

// meter measures how much of a quota is used. A request occupies one of the limit's places for a window, so the use is the time for
// which places were occupied by us, as a share of all places and all the time. (Requests come in bursts: counting them would swing
// between half and twice the truth.) The meter starts one window after the limit became known: until then some places are empty that
// no request could have filled.
type meter struct {
	limit    Limit // that the figures below belong to
	from, to time.Time
	occupied time.Duration // sum over the places
}

// read brings the meter up to now. The log holds at least what was sent since the last reading and in the window before.
func (m *meter) read(now time.Time, l Limit, log requestLog) {
	if m.limit != l {
		start := now.Add(l.Window)
		*m = meter{limit: l, from: start, to: start}
	}
	if l.N <= 0 || !now.After(m.to) {
		return
	}
	for _, r := range log.after(m.to.Add(-l.Window)) {
		if r.origin != ofThisRun || r.refused {
			continue
		}
		end := r.at.Add(l.Window)
		m.occupied += earlier(end, now).Sub(later(r.at, m.to))
	}
	m.to = now
}

// share returns the use, from 0 to 1; 0 while nothing can be said.
func (m *meter) share() float64 {
	if !m.to.After(m.from) {
		return 0
	}
	return m.occupied.Seconds() / (float64(m.limit.N) * m.to.Sub(m.from).Seconds())
}
