package view

import "time"

// Lag is how far the watermark was behind the clock at an instant.
type Lag struct {
	At      time.Time
	Seconds float64
}

// Lags is the way of the watermark's lag through the rounds that v knows, the oldest first: it grows with the clock, and falls
// where a round has ended. The last one is that of v itself, unless all has ended.
func Lags(v *View) (lags []Lag) {
	var mark time.Time
	for i := len(v.Rounds) - 1; i >= 0; i-- {
		r := &v.Rounds[i]
		if r.Finished == nil || r.Watermark == nil {
			continue
		}
		if !mark.IsZero() {
			lags = append(lags, behind(*r.Finished, mark))
		}
		if r.Watermark.After(mark) { // it never goes back
			mark = *r.Watermark
		}
		lags = append(lags, behind(*r.Finished, mark))
	}
	if v.Phase != Ended && !mark.IsZero() {
		lags = append(lags, behind(v.At, mark))
	}
	return lags
}

func behind(at, mark time.Time) Lag { return Lag{at, max(0, at.Sub(mark).Seconds())} }
