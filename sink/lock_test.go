package sink

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"sluice/coordinator/ledger"
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

// Others see a pause while it lasts. It ends with the session, and a new session shows it again.
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
	for deadline := time.After(30 * time.Second); ; { // the session ends a little after its connection
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

func TestOneRunHoldsAJob(t *testing.T) {
	b := newBench(t)
	lock, err := b.Lock(t.Context())
	must(t, err)
	other := open(t, b.url)
	busy := &jobLock{p: other}
	var locked *ledger.LockedError
	if err := busy.take(t.Context()); !errors.Is(err, ledger.ErrLocked) || !errors.As(err, &locked) {
		t.Fatalf("got %v, want ErrLocked", err)
	}
	equal(t, "holder", locked.Application, b.name())
	lock.Close(t.Context())
	second, err := other.Lock(t.Context())
	must(t, err)
	second.Close(t.Context())
}

// TestARunThatLostTheJobBeginsNoShard: it may not know yet that another run has the job, and that run may not have begun all shards.
func TestARunThatLostTheJobBeginsNoShard(t *testing.T) {
	b := newBench(t, shard.Window{Start: shard.Past, End: 0}, shard.Window{Start: 0, End: shard.Future})
	lost := open(t, b.url)
	lock, err := lost.Lock(t.Context())
	must(t, err)
	from, err := lost.Begin(t.Context(), b.shard(t, 1).ID)
	must(t, err)
	lock.Close(t.Context())
	hold(t, b.Postgres)
	for n := range 2 {
		if _, err := lost.Begin(t.Context(), b.shard(t, n+1).ID); !errors.Is(err, shard.ErrStale) {
			t.Errorf("shard %d: got %v, want ErrStale", n+1, err)
		}
	}
	if _, err := lost.Commit(t.Context(), batch(from, events(0, 10))); !errors.Is(err, shard.ErrStale) {
		t.Errorf("commit: got %v, want ErrStale", err)
	}
	must(t, lost.Fail(t.Context(), from.ID, shard.Failed, "too late"))
	equal(t, "state", b.shard(t, 1).State, shard.Running)
	b.begin(t, 1)
	b.begin(t, 2)
}

// A lost connection is not a lost lock: the lock is taken again, unless another run was faster.
func TestALostLockIsTakenAgain(t *testing.T) {
	b := newBench(t)
	held, err := b.Lock(t.Context())
	must(t, err)
	lock := held.(*jobLock)
	kill := func() { b.count(t, `select count(pg_terminate_backend($1))`, lock.conn.PgConn().PID()) }
	kill()
	if lock.ping(t.Context()) == nil {
		t.Fatal("the connection lives")
	}
	must(t, lock.retake(t.Context()))
	must(t, lock.ping(t.Context()))

	kill()
	other := open(t, b.url)
	theirs, err := other.Lock(t.Context())
	must(t, err)
	defer theirs.Close(t.Context())
	if err := lock.retake(t.Context()); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}

// The server may keep a session long after its client is gone. Ours is ended.
func TestOurOwnDeadSessionDoesNotKeepTheLock(t *testing.T) {
	b := newBench(t)
	dead, err := b.Lock(t.Context())
	must(t, err)
	defer dead.Close(t.Context())
	fresh := &jobLock{p: b.Postgres}
	var own *shard.TransientError
	if err := fresh.take(t.Context()); !errors.As(err, &own) {
		t.Fatalf("got %v, want a TransientError", err)
	}
	must(t, fresh.retake(t.Context())) // the server needs a moment for it
	fresh.Close(t.Context())
}
