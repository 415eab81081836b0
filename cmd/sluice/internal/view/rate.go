package view

import "time"

// rateWindow is how long the rate looks back: long enough to see past the pauses of a quota.
const rateWindow = 15 * time.Second

// Meter measures how fast rows are committed, from one View to the next.
type Meter struct {
	first  Point
	recent []Point // of the window, and the last one before it
}

// Measure adds v to what was measured, and sets its rates and the time left.
func (m *Meter) Measure(v *View) {
	p := Point{At: v.At, Stored: v.Stored}
	if len(m.recent) == 0 {
		m.first = p
	}
	m.recent = append(m.recent, p)
	for len(m.recent) > 2 && v.At.Sub(m.recent[1].At) > rateWindow {
		m.recent = m.recent[1:]
	}
	m.set(v)
}

// set sets the rates as they were measured last.
func (m *Meter) set(v *View) {
	v.Rate, v.Mean, v.Left = 0, 0, nil
	if len(m.recent) < 2 {
		return
	}
	last := m.recent[len(m.recent)-1]
	v.Rate, v.Mean = perSecond(m.recent[0], last), perSecond(m.first, last)
	if left, ok := timeLeft(v.Total, v.Stored, last.Stored-m.first.Stored, last.At.Sub(m.first.At), v.Mean); ok {
		v.Left = &left
	}
}

func perSecond(a, b Point) float64 {
	d := b.At.Sub(a.At).Seconds()
	if d <= 0 {
		return 0
	}
	return max(0, float64(b.Stored-a.Stored)/d)
}

// An estimate before one of these would be a guess.
const (
	honestShare = 0.02
	honestTime  = 30 * time.Second
)

// timeLeft returns how long it will take until the total is stored, at so many events per second. It reports false in the first
// moments of a run, which has stored `run` events in the time that it took.
func timeLeft(total, stored, run int64, took time.Duration, speed float64) (time.Duration, bool) {
	early := took < honestTime && float64(run) < honestShare*float64(total)
	if total == 0 || early || speed <= 0 || stored > total {
		return 0, false
	}
	return time.Duration(float64(total-stored) / speed * float64(time.Second)), true
}
