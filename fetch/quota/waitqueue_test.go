package quota

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/shard"
)

func TestTakeServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPacer(t, onePerMinute)
		var mu sync.Mutex
		var served []int
		var callers sync.WaitGroup
		for i := range 64 {
			callers.Go(func() {
				c := takeCall(t, p, simBoth)
				mu.Lock()
				served = append(served, i)
				mu.Unlock()
				time.Sleep(3 * time.Second)
				p.Observe(c, Answer{})
			})
			time.Sleep(time.Millisecond)
		}
		callers.Wait()
		if !slices.IsSorted(served) {
			t.Errorf("served in the order %v", served)
		}
	})
}

// A caller that can use only the stream must not block one that can use the list.
func TestTakeLetsPassWhoWantsSomethingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPacer(t, both(Limit{2, time.Minute}, Limit{1, time.Minute}))
		p.Observe(takeCall(t, p, onlyStream), Answer{})
		start := time.Now()
		var other sync.WaitGroup
		other.Go(func() { takeCall(t, p, onlyStream) })
		synctest.Wait()
		if c := takeCall(t, p, simBoth); c.Quota != "list" || time.Since(start) != 0 {
			t.Errorf("%s after %v, want the list at once", c.Quota, time.Since(start))
		}
		other.Wait()
	})
}

// A waiter whose cursor expires gives way, and is served by the other endpoint.
func TestTakeAsksAgainWhatIsUsable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPacer(t, both(Limit{1, time.Minute}, Limit{2, time.Hour}))
		held := takeCall(t, p, onlyList)
		var cursorDied atomic.Bool
		done := make(chan Slot)
		go func() {
			done <- takeCall(t, p, func(e string) bool { return (e == "stream") == cursorDied.Load() })
		}()
		synctest.Wait()
		cursorDied.Store(true)
		p.Observe(held, Answer{}) // any reply lets everybody look again
		if c := <-done; c.Quota != "stream" {
			t.Errorf("%s, want stream", c.Quota)
		}
	})
}

// A waiter that wants less than before lets those behind it go at once, though it stays.
func TestTakeGivesUpWhatItNoLongerWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, onePerMinute), time.Now()
		p.Observe(takeCall(t, p, onlyStream), Answer{})
		time.Sleep(10 * time.Second)
		p.Observe(takeCall(t, p, onlyList), Answer{})
		var callers sync.WaitGroup
		var cursorDied atomic.Bool
		callers.Go(func() {
			takeCall(t, p, func(e string) bool { return e == "list" || !cursorDied.Load() })
		})
		synctest.Wait()
		cursorDied.Store(true)
		callers.Go(func() {
			if c := takeCall(t, p, onlyStream); c.At.Sub(start) != slot {
				t.Errorf("call after %v, want %v, as soon as the stream was free", c.At.Sub(start), slot)
			}
		})
		callers.Wait()
	})
}

// A waiter keeps its place during a pause, and takes no slot that becomes free meanwhile.
func TestALineWaitsAtAShutGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := onePerMinute
		limits.Pause = new(shard.Pause)
		p := newTestPacer(t, limits)
		p.Observe(takeCall(t, p, onlyList), Answer{})
		var served atomic.Int64
		var callers sync.WaitGroup
		start := time.Now()
		for i := range int64(3) {
			callers.Go(func() {
				p.Observe(takeCall(t, p, onlyList), Answer{})
				if !served.CompareAndSwap(i, i+1) {
					t.Errorf("caller %d after %d others", i, served.Load())
				}
				if i == 0 && time.Since(start) != time.Hour {
					t.Errorf("the first was served after %s", time.Since(start))
				}
			})
			synctest.Wait()
		}
		limits.Pause.Toggle()
		time.Sleep(time.Hour)
		if served.Load() != 0 {
			t.Error("something was let through")
		}
		limits.Pause.Toggle()
		callers.Wait()
	})
}
