package sink

import (
	"context"
	"sync"
	"testing"
	"time"

	"sluice/shard"
)

// pausedSoon waits until the tables show whether the run is paused.
func (b *bench) pausedSoon(t *testing.T, want bool) {
	t.Helper()
	for deadline := time.After(30 * time.Second); ; {
		s, err := b.Status(t.Context(), b.config.Job)
		must(t, err)
		if s.Holder != nil && s.Paused == want {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("paused is %v", s.Paused)
		}
	}
}

// Others see a pause while it lasts; with the session it is gone, and a new one tells again.
func TestAPauseIsSeenByOthers(t *testing.T) {
	b := newBench(t)
	gate := new(shard.Pause)
	b.config.Pause = gate
	taken, err := b.Lock(t.Context())
	must(t, err)
	lock := taken.(*jobLock)
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := lock.Watch(ctx); err != nil {
			t.Error(err)
		}
	})
	b.pausedSoon(t, false)
	gate.Toggle()
	b.pausedSoon(t, true)
	gate.Toggle()
	b.pausedSoon(t, false)
	gate.Toggle()
	b.pausedSoon(t, true)
	stop()
	watching.Wait()
	must(t, lock.retake(t.Context()))
	b.pausedSoon(t, false)
	must(t, lock.ping(t.Context()))
	b.pausedSoon(t, true)
	lock.Close(t.Context())
	for deadline := time.After(30 * time.Second); ; { // the session ends a little after its line
		s, err := b.Status(t.Context(), b.config.Job)
		must(t, err)
		if s.Holder == nil && !s.Paused {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("holder %v, paused %v after the end", s.Holder, s.Paused)
		}
	}
}
