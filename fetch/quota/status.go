package quota

import (
	"time"
)

// Source tells how a limit came to be known.
type Source uint8

// The ways to know a limit.
const (
	Unknown    Source = iota
	Configured        // by the configuration
	Remembered        // from an earlier run
	Announced         // by the server's headers
	Learned           // from the server's refusals
)

func (k Source) String() string {
	return [...]string{"unknown", "told", "remembered", "announced", "learned"}[k]
}

// Status is where one quota stands, for the screen.
type Status struct {
	Name        string // of the quota
	Limit       Limit  // what we allow ourselves now; less than the server's while others spend of it
	Known       Source
	Recent      int       // requests that the server should have in its window now
	Used        float64   // share of the allowed requests that was used since the limit is known; 0: too early to say
	Refusals    int       // since the start
	PausedUntil time.Time // zero or past: not paused
	Waiting     int       // callers who would take a slot of it
	InFlight    int       // slots that were neither observed nor returned yet
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
		for _, w := range p.line {
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
		InFlight:    q.flying,
	}
	switch {
	case q.limit == Unlimited:
		s.Limit.N = Unlimited
	case q.limit > 0:
		s.Limit = Limit{N: q.limit, Window: q.window}
	}
	return s
}
