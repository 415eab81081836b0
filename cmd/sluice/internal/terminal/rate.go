package terminal

import "time"

// rate is committed events per second over the last moments.
type rate struct {
	began   time.Time
	first   int64
	samples []sample
}

type sample struct {
	at     time.Time
	stored int64
}

// window is how long the rate looks back: long enough to see over the pauses of a quota.
const window = 15 * time.Second

func (r *rate) add(now time.Time, stored int64) {
	if r.began.IsZero() {
		r.began, r.first = now, stored
	}
	r.samples = append(r.samples, sample{now, stored})
	for len(r.samples) > 2 && now.Sub(r.samples[1].at) > window {
		r.samples = r.samples[1:]
	}
}

// recent returns events per second over the window.
func (r *rate) recent() float64 {
	if len(r.samples) < 2 {
		return 0
	}
	first, last := r.samples[0], r.samples[len(r.samples)-1]
	return perSecond(last.stored-first.stored, last.at.Sub(first.at))
}

// overall returns events per second since the run began.
func (r *rate) overall() float64 {
	if len(r.samples) == 0 {
		return 0
	}
	last := r.samples[len(r.samples)-1]
	return perSecond(last.stored-r.first, last.at.Sub(r.began))
}

func perSecond(events int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(events) / d.Seconds()
}

// An ETA before one of these would be a guess.
const (
	honestShare = 0.02
	honestTime  = 30 * time.Second
)

// eta returns how long the rest will take at the measured rate; false while nobody can honestly say.
func (r *rate) eta(v View, now time.Time) (time.Duration, bool) {
	return Left(v.Total, v.Stored, v.Stored-r.first, now.Sub(r.began), r.overall())
}

// Left returns how long it will take until the total is stored, at so many events per second. False while nobody can honestly
// say: in the first moments of a run that has stored no more than run itself.
func Left(total, stored, run int64, took time.Duration, speed float64) (time.Duration, bool) {
	early := took < honestTime && float64(run) < honestShare*float64(total)
	if total == 0 || early || speed <= 0 || stored > total {
		return 0, false
	}
	return time.Duration(float64(total-stored) / speed * float64(time.Second)), true
}
