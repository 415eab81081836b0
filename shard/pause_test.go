package shard

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A pause knows since when it is on, and when it was last on.
func TestPauseKnowsItsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pause
		if since, paused := p.Paused(); paused || !since.IsZero() || !p.LastPaused().IsZero() {
			t.Errorf("new: paused %v since %s, last %s", paused, since, p.LastPaused())
		}
		began := time.Now()
		if !p.Toggle() {
			t.Error("the first Toggle did not pause")
		}
		time.Sleep(time.Minute)
		if since, paused := p.Paused(); !paused || !since.Equal(began) || !p.LastPaused().Equal(time.Now()) {
			t.Errorf("on: paused %v since %s, last %s", paused, since, p.LastPaused())
		}
		opened := time.Now()
		if p.Toggle() {
			t.Error("the second Toggle paused")
		}
		time.Sleep(time.Minute)
		if _, paused := p.Paused(); paused || !p.LastPaused().Equal(opened) {
			t.Errorf("off again: paused %v, last %s", paused, p.LastPaused())
		}
	})
}

// All goroutines in Wait continue at the moment of Toggle.
func TestPauseReleasesAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pause
		p.Toggle()
		start := time.Now()
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				if err := p.Wait(t.Context()); err != nil || time.Since(start) != time.Hour {
					t.Errorf("%v after %s", err, time.Since(start))
				}
			})
		}
		time.Sleep(time.Hour)
		p.Toggle()
		waiting.Wait()
		if err := p.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A nil Pause is off.
func TestNilPauseIsOff(t *testing.T) {
	var p *Pause
	if _, paused := p.Paused(); paused || !p.LastPaused().IsZero() || p.Changed() != nil {
		t.Error("a nil Pause is on")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Wait(ctx); err != nil {
		t.Errorf("%v: Wait looks at ctx only while paused", err)
	}
}
