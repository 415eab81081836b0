package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// View is what is shown at one moment.
type View struct {
	Total  int64 // events there are; 0: not known
	Stored int64 // rows committed, by earlier runs too
	Shards int
	Done   int
	Failed int
	Active int
	Reject int64  // dead letters of this run
	Limit  string // what holds the run back right now
	Quota  string // how much of the allowed requests was used
}

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

// line tells the view in one line.
func (r *rate) line(v View, now time.Time) string { return r.amount(v) + ", " + r.rest(v, now) }

// rest tells everything but the amount.
func (r *rate) rest(v View, now time.Time) string {
	parts := []string{fmt.Sprintf("%s events/s", Number(int64(r.recent())))}
	if eta, ok := r.eta(v, now); ok {
		parts = append(parts, "about "+Short(eta)+" left")
	}
	parts = append(parts, fmt.Sprintf("%d/%d shards", v.Done, v.Shards))
	if v.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", v.Failed))
	}
	if v.Reject > 0 {
		parts = append(parts, Number(v.Reject)+" dead letters")
	}
	if v.Quota != "" {
		parts = append(parts, v.Quota)
	}
	if v.Limit != "" {
		parts = append(parts, "limited by "+v.Limit)
	}
	return strings.Join(parts, ", ")
}

func (r *rate) amount(v View) string {
	if v.Total == 0 {
		return Number(v.Stored) + " events"
	}
	return fmt.Sprintf("%s of %s events (%.1f%%)", Number(v.Stored), Number(v.Total), 100*float64(v.Stored)/float64(v.Total))
}

// Number writes n with thousands apart: 3,000,000.
func Number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Short writes a duration as people say it: 9m 46s, 1h 02m, 12.3s.
func Short(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm %02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh %02dm", int(d.Hours()), int(d.Minutes())%60)
}
