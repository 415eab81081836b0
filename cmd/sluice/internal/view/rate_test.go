package view

import (
	"testing"
	"time"
)

// TestETAIsSilentWhileItWouldBeAGuess: there is none before 2 % or 30 s; then it is the rest at the measured rate.
func TestETAIsSilentWhileItWouldBeAGuess(t *testing.T) {
	var m Meter
	start := time.Unix(1000, 0)
	after := func(d time.Duration, total, stored int64) *time.Duration {
		v := View{At: start.Add(d), Total: total, Stored: stored}
		m.Measure(&v)
		return v.Left
	}
	after(0, 1000, 100)
	if left := after(time.Second, 1000, 110); left != nil {
		t.Errorf("1 %% done after 1 s: %s", left)
	}
	if left := after(2*time.Second, 1000, 200); left == nil || *left != 16*time.Second {
		t.Errorf("50 events/s and 800 to go: %v", left)
	}
	if left := after(time.Hour, 0, 200); left != nil {
		t.Errorf("an ETA without a total: %s", left)
	}
}

func TestRateLooksBackOverAWindow(t *testing.T) {
	var m Meter
	var v View
	start := time.Unix(1000, 0)
	for i := range 100 {
		v = View{At: start.Add(time.Duration(i) * time.Second), Stored: int64(min(i, 50)) * 10}
		m.Measure(&v)
	}
	if v.Rate != 0 {
		t.Errorf("nothing came for 49 s, the rate is %.1f", v.Rate)
	}
	if v.Mean < 5 || v.Mean > 6 {
		t.Errorf("500 events in 99 s are %.1f a second", v.Mean)
	}
}

// TestAWalkHasARateOfItsOwn: the rest between two rounds is no part of the second one's rate; the mean of a run that has ended is that of
// all.
func TestAWalkHasARateOfItsOwn(t *testing.T) {
	b := NewBoard(View{})
	start := time.Unix(1000, 0)
	publish := func(second int, phase Phase, stored int64) View {
		b.Publish(View{Phase: phase, At: start.Add(time.Duration(second) * time.Second), Stored: stored})
		v, _ := b.View()
		return v
	}
	publish(0, Ingesting, 0)
	publish(10, Ingesting, 100)
	publish(10, Checking, 100)
	publish(60, Waiting, 100)
	publish(60, Ingesting, 100)
	if v := publish(70, Ingesting, 800); v.Rate != 70 || v.Mean != 70 {
		t.Errorf("700 events in the 10 s of a round: %.1f a second, %.1f on average", v.Rate, v.Mean)
	}
	if v := publish(80, Ended, 800); v.Mean != 800.0/70 {
		t.Errorf("800 events in 70 s: %.1f a second on average", v.Mean)
	}
}
