package shard

import (
	"context"
	"sync"
	"time"
)

// Gate is where an operator holds a run up: while it is shut, a Source asks for nothing new. What is under way goes on, and is
// committed. The zero Gate is open, and so is nil. It may be used by anyone at any time.
type Pause struct {
	mu      sync.Mutex
	shut    time.Time     // since when; zero: it is open
	opened  time.Time     // when it was opened last; zero: never
	changed chan struct{} // is closed at the next turn; nil: nobody asked for it
}

// Turn shuts an open gate and opens a shut one. Those who wait at it go on at once. It tells which it did.
func (g *Pause) Toggle() (shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if shut = g.shut.IsZero(); shut {
		g.shut = now
	} else {
		g.shut, g.opened = time.Time{}, now
	}
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
	return shut
}

// Shut tells whether the gate is shut, and since when.
func (g *Pause) Paused() (since time.Time, shut bool) {
	since, shut, _ = g.look()
	return since, shut
}

// Changed returns a channel that is closed at the next turn.
func (g *Pause) Changed() <-chan struct{} {
	_, _, changed := g.look()
	return changed
}

// Last returns until when the gate was last shut: now, if it still is, and the zero time if it never was.
func (g *Pause) LastPaused() time.Time {
	if g == nil {
		return time.Time{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut.IsZero() {
		return time.Now()
	}
	return g.opened
}

func (g *Pause) look() (since time.Time, shut bool, changed <-chan struct{}) {
	if g == nil {
		return time.Time{}, false, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return g.shut, !g.shut.IsZero(), g.changed
}

// Pass returns when the gate is open, or why ctx ended before. A shard that waits here is held, and is told so to those who look.
func (g *Pause) Wait(ctx context.Context) error {
	_, shut, changed := g.look()
	if !shut {
		return nil
	}
	if m, ok := ctx.Value(meterKey{}).(*Stats); ok {
		defer m.enter(Phase(m.Phase.Load()))
		m.enter(Paused)
	}
	for shut {
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		_, shut, changed = g.look()
	}
	return nil
}
