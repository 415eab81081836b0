package apisim

import (
	"fmt"
	"math"
	"time"
)

// Live is how a data set grows: after Config.Newest events go on at a steady rate, and some of them arrive late, that is,
// they are served only some time after their timestamp. Everything before Newest is there from the beginning, and may be
// deleted, the oldest first. The zero value is a data set that stays as it is.
type Live struct {
	Rate      float64       // events a second; 0 means none
	LateShare float64       // share of them that arrive late
	LateBy    time.Duration // by how much on average; how much is distributed exponentially
	LateMost  time.Duration // by how much at most; default: five times LateBy
	Forget    float64       // events a second that are deleted, the oldest first, from Newest on; 0 means none
}

// Bounds of what grows, so that a page costs about what a page costs: all late events that may still come are looked for.
const (
	maxRate      = 100_000   // events a second
	maxUnsettled = 1_000_000 // events within LateMost
)

// check returns what is wrong with l, whose defaults are filled in.
func (l *Live) check() error {
	late := l.LateShare > 0 || l.LateBy != 0 || l.LateMost != 0
	switch {
	case !(l.Rate >= 0 && l.Rate <= maxRate):
		return fmt.Errorf("Live.Rate: %v events a second are not 0 to %d", l.Rate, maxRate)
	case !(l.Forget >= 0 && l.Forget <= maxRate):
		return fmt.Errorf("Live.Forget: %v events a second are not 0 to %d", l.Forget, maxRate)
	case l.Rate == 0 && late:
		return fmt.Errorf("Live: late events need a Live.Rate")
	case late && (l.LateShare == 0 || l.LateBy <= 0):
		return fmt.Errorf("Live: late events need both LateShare and a positive LateBy, not %v and %s", l.LateShare, l.LateBy)
	case l.LateMost < l.LateBy:
		return fmt.Errorf("Live.LateMost: %s is less than LateBy, %s", l.LateMost, l.LateBy)
	case l.Rate*l.LateMost.Seconds() > maxUnsettled:
		return fmt.Errorf("Live: %v events a second, late by up to %s, are more than %d that may still come", l.Rate, l.LateMost, maxUnsettled)
	}
	return nil
}

// source names what l adds to the data set.
func (l *Live) source() string {
	name := "live=" + decimal(l.Rate)
	if l.Forget > 0 {
		name += ",forget=" + decimal(l.Forget)
	}
	if l.LateShare > 0 {
		name += fmt.Sprintf(",late=%s@%s<%s", decimal(l.LateShare), l.LateBy, l.LateMost)
	}
	return name
}

// delay returns how many milliseconds after its timestamp an event arrives. Those of the history are never late.
func (d *Data) delay(serial int64) int64 {
	if serial < d.history || d.config.Live.LateShare == 0 {
		return 0
	}
	r := draw(d.keys.late, serial)
	if r >= threshold(d.config.Live.LateShare) {
		return 0
	}
	const places = 1 << 53 // as many as a float64 tells apart; none of them is 0, whose logarithm is infinite
	share := float64(mix(r)>>11+1) / places
	late := -math.Log(share) * float64(d.config.Live.LateBy.Milliseconds())
	return min(max(int64(late), 1), d.config.Live.LateMost.Milliseconds())
}
