package shard

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The gate tells since when it is shut, and until when it was.
func TestAGateKnowsItsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Pause
		if since, shut := g.Paused(); shut || !since.IsZero() || !g.LastPaused().IsZero() {
			t.Errorf("a new gate: shut %v since %s, last %s", shut, since, g.LastPaused())
		}
		began := time.Now()
		if !g.Toggle() {
			t.Error("the first turn opened it")
		}
		time.Sleep(time.Minute)
		if since, shut := g.Paused(); !shut || !since.Equal(began) || !g.LastPaused().Equal(time.Now()) {
			t.Errorf("a shut gate: shut %v since %s, last %s", shut, since, g.LastPaused())
		}
		opened := time.Now()
		if g.Toggle() {
			t.Error("the second turn shut it")
		}
		time.Sleep(time.Minute)
		if _, shut := g.Paused(); shut || !g.LastPaused().Equal(opened) {
			t.Errorf("an opened gate: shut %v, last %s", shut, g.LastPaused())
		}
	})
}

// All who wait go on in the moment in which it is opened, and a gate that is turned twice meanwhile keeps them.
func TestAGateLetsAllThroughAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Pause
		g.Toggle()
		start := time.Now()
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				if err := g.Wait(t.Context()); err != nil || time.Since(start) != time.Hour {
					t.Errorf("%v after %s", err, time.Since(start))
				}
			})
		}
		time.Sleep(time.Hour)
		g.Toggle()
		waiting.Wait()
		if err := g.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Nobody has shut a gate that is not there.
func TestNoGateIsOpen(t *testing.T) {
	var g *Pause
	if _, shut := g.Paused(); shut || !g.LastPaused().IsZero() || g.Changed() != nil {
		t.Error("a gate that is not there is shut")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Wait(ctx); err != nil {
		t.Errorf("%v: an open gate looks at nothing", err)
	}
}
