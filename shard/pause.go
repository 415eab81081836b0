package shard

import (
	"context"
	"sync"
	"time"
)

// Pause lets an operator pause a run: while it is on, a Source makes no new requests. Requests under way are completed and
// committed. The zero Pause is off, and so is nil. All methods may be called from any goroutine.
type Pause struct {
	mu      sync.Mutex
	since   time.Time     // when it was switched on; zero while it is off
	ended   time.Time     // when it was last switched off; zero if it never was on
	changed chan struct{} // closed at the next Toggle; nil if nothing waits for that
}

// Toggle pauses the run or lets it continue; goroutines in Wait continue at once. It reports whether the run is paused now.
func (p *Pause) Toggle() (paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if paused = p.since.IsZero(); paused {
		p.since = now
	} else {
		p.since, p.ended = time.Time{}, now
	}
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
	return paused
}

// Paused reports whether the run is paused, and since when.
func (p *Pause) Paused() (since time.Time, paused bool) {
	since, _ = p.state()
	return since, !since.IsZero()
}

// Changed returns a channel that is closed at the next Toggle.
func (p *Pause) Changed() <-chan struct{} {
	_, changed := p.state()
	return changed
}

// LastPaused returns when the run was last paused: now if it still is, and the zero time if it never was.
func (p *Pause) LastPaused() time.Time {
	if p == nil {
		return time.Time{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.since.IsZero() {
		return time.Now()
	}
	return p.ended
}

func (p *Pause) state() (since time.Time, changed <-chan struct{}) {
	if p == nil {
		return time.Time{}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.since, p.changed
}

// Wait returns nil when the run is not paused, or the cause if ctx ends first. Meanwhile the shard's phase is Paused.
func (p *Pause) Wait(ctx context.Context) error {
	since, changed := p.state()
	if since.IsZero() {
		return nil
	}
	if s := statsOf(ctx); s != nil {
		defer s.enter(Phase(s.Phase.Load()))
		s.enter(Paused)
	}
	for !since.IsZero() {
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		since, changed = p.state()
	}
	return nil
}

// Sleep waits for d. If ctx ends first, it returns the cause.
func Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
