package quota

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/shard"
)

// Two runs at once, the second of which starts at any moment: nothing is refused, nothing is wasted, and both get the same share.
func TestTwoRunsSpendOneQuota(t *testing.T) {
	for seed := range seeds(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, table := newSimAPI(seed), newSimTable()
				a, goneA := table.newRun(t, allConfigured, "a")
				defer goneA()
				var runs sync.WaitGroup
				runs.Go(func() { api.read(t, a, 8, endless, 30*time.Minute) })
				time.Sleep(time.Duration(seed) * 731 * time.Millisecond)
				b, goneB := table.newRun(t, allConfigured, "b")
				defer goneB()
				from := time.Now().Add(2 * time.Minute)
				runs.Go(func() { api.read(t, b, 8, endless, 30*time.Minute-time.Duration(seed)*731*time.Millisecond) })
				runs.Wait()
				api.checkShared(t, from, from.Add(25*time.Minute))
				if usedA, usedB := a.Status()[1].Used, b.Status()[1].Used; usedA < 0.4 || usedB < 0.4 {
					t.Errorf("used %.3f and %.3f of the stream, want half each", usedA, usedB)
				}
			})
		})
	}
}

// checkShared checks that all runs together have used the quota, and no more.
func (s *simAPI) checkShared(t *testing.T, from, to time.Time) {
	t.Helper()
	if s.list.refused+s.stream.refused > 0 {
		t.Errorf("refused %d and %d times, want none", s.list.refused, s.stream.refused)
	}
	if list, stream := s.list.used(from, to), s.stream.used(from, to); list < 0.96 || stream < 0.97 {
		t.Errorf("used %.3f of the list and %.3f of the stream, want 0.96 and 0.97", list, stream)
	}
}

// A slot belongs to the run that had its last one earlier, even if another run is the first to see that it is free.
func TestRunsAreServedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, start := newSimTable(), time.Now()
		var runs sync.WaitGroup
		var mu sync.Mutex
		order := ""
		for _, name := range []string{"a", "b", "c"} {
			p, gone := table.newRun(t, onePerMinute, name)
			defer gone()
			runs.Go(func() {
				for range 3 {
					takeCall(t, p, onlyList)
					mu.Lock()
					order += name
					mu.Unlock()
				}
			})
			time.Sleep(time.Second)
		}
		runs.Wait()
		if order != "abcabcabc" && order != "acbacbacb" { // b and c had none yet: either may be first
			t.Errorf("served in the order %s", order)
		}
		if took := time.Since(start); took > 8*slot+5*time.Second {
			t.Errorf("nine requests took %v, eight windows are %v", took, 8*slot)
		}
	})
}

// A follow requests a page now and then. Beside a backfill whose many fetchers take every slot, it gets the next one that is free, and
// waits no longer than a window.
func TestASmallRunIsNotStarvedByALargeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, table := newSimAPI(5), newSimTable()
		large, gone := table.newRun(t, allConfigured, "backfill")
		defer gone()
		small, gone := table.newRun(t, allConfigured, "follow")
		defer gone()
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Minute)
		defer stop()
		var runs sync.WaitGroup
		runs.Go(func() { api.read(t, large, 64, endless, 30*time.Minute) })
		time.Sleep(2 * time.Minute)
		var longest time.Duration
		for shard.Sleep(ctx, 28*time.Second) == nil {
			asked := time.Now()
			call, err := small.Take(ctx, simBoth)
			if err != nil {
				break
			}
			longest = max(longest, call.At.Sub(asked))
			api.get(small, call)
		}
		runs.Wait()
		if api.list.refused+api.stream.refused > 0 || longest > slot {
			t.Errorf("%d refusals, and a wait of %v", api.list.refused+api.stream.refused, longest)
		}
	})
}

// A run that is alone looks at the table for Share, and not for its requests.
func TestARunAloneBooksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, table := newSimAPI(1), newSimTable()
		p, gone := table.newRun(t, allConfigured, "a")
		defer gone()
		api.read(t, p, 8, endless, 10*time.Minute)
		if looks := table.looks.Load(); looks > 601 {
			t.Errorf("%d looks at the table in 600 s", looks)
		}
	})
}

// A run that is killed is soon taken for dead, and what it booked counts until the server has forgotten it.
func TestWhatADeadRunBookedAgesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, start := newSimTable(), time.Now()
		dead, kill := table.newRun(t, onePerMinute, "dead")
		p, gone := table.newRun(t, onePerMinute, "a")
		defer gone()
		takeCall(t, dead, onlyList)
		_ = dead.Share(t.Context())
		kill()
		call := takeCall(t, p, onlyList)
		if wait := call.At.Sub(start); wait < slot || wait > slot+200*time.Millisecond {
			t.Errorf("the next call came after %v, want %v", wait, slot)
		}
		looks := table.looks.Load()
		takeCall(t, p, onlyStream)
		if table.looks.Load() != looks {
			t.Error("a run that is alone again books its requests")
		}
	})
}

// A run that was stopped, or asleep with its machine, can't know of newcomers: it looks at the table before it sends.
func TestARunThatWasAsleepAsksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newSimTable()
		asleep, stop := table.newRun(t, onePerMinute, "asleep")
		stop()
		time.Sleep(time.Hour)
		p, gone := table.newRun(t, onePerMinute, "a")
		defer gone()
		first := takeCall(t, p, onlyList)
		if call := takeCall(t, asleep, onlyList); call.At.Sub(first.At) < slot {
			t.Errorf("the run that had slept sent %v after the other", call.At.Sub(first.At))
		}
	})
}

// A new run waits until every run that took itself to be alone knows of it.
func TestARunThatComesInAnnouncesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, start := newSimTable(), time.Now()
		alone, gone := table.newRun(t, onePerMinute, "alone")
		defer gone()
		time.Sleep(10 * time.Millisecond)
		p := newTestPacer(t, onePerMinute)
		if err := p.Join(t.Context(), table, "", "comes"); err != nil {
			t.Fatal(err)
		}
		takeCall(t, alone, onlyList) // is good for its word, and has not looked yet
		if call := takeCall(t, p, onlyList); call.At.Sub(start) < slot {
			t.Errorf("two requests in %v", call.At.Sub(start))
		}
	})
}

// If one run is told to wait, all wait, from the moment when its own fetcher would.
func TestAPauseOfOneRunHoldsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, roomy := newSimTable(), both(Limit{}, Limit{100, time.Minute})
		a, gone := table.newRun(t, roomy, "a")
		defer gone()
		b, gone := table.newRun(t, roomy, "b")
		defer gone()
		time.Sleep(1500 * time.Millisecond) // until both know that they are two, and between their looks
		a.Observe(takeCall(t, a, onlyStream), Answer{Refused: true, RetryAfter: 30 * time.Second})
		told := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		_, _ = a.Take(ctx, onlyStream)
		if call := takeCall(t, b, onlyStream); call.At.Sub(told) < 30*time.Second {
			t.Errorf("the other run sent %v after the refusal", call.At.Sub(told))
		}
	})
}

// A limit is learned from the requests of all runs, and known to all of them at once.
func TestARefusalOfOneRunIsKnownToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newSimTable()
		a, gone := table.newRun(t, unknown, "a")
		defer gone()
		b, gone := table.newRun(t, unknown, "b")
		defer gone()
		first := takeCall(t, a, onlyStream)
		a.Observe(first, Answer{})
		for range 4 {
			b.Observe(takeCall(t, b, onlyStream), Answer{})
			a.Observe(takeCall(t, a, onlyStream), Answer{})
		}
		refused := takeCall(t, a, onlyStream)
		wait := first.At.Add(time.Minute).Sub(refused.At).Truncate(time.Second) + time.Second // rounded up
		a.Observe(refused, Answer{Refused: true, RetryAfter: wait})
		told := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		_, _ = a.Take(ctx, onlyStream) // as its fetcher does
		if call := takeCall(t, b, onlyStream); call.At.Sub(told) < wait {
			t.Errorf("the other run sent %v after the refusal", call.At.Sub(told))
		}
		for name, p := range map[string]*Pacer{"the refused": a, "the other": b} {
			if s := p.Status()[1]; s.Limit != (Limit{9, time.Minute}) {
				t.Errorf("%s knows of a limit of %s (%s), want 9 a minute", name, s.Limit, s.Known)
			}
		}
	})
}

// Two runs learn an unknown limit together, in one episode.
func TestTwoRunsLearnAHiddenLimit(t *testing.T) {
	for seed := range seeds(6) {
		synctest.Test(t, func(t *testing.T) {
			api, table := newSimAPI(seed), newSimTable()
			var runs sync.WaitGroup
			var pacers []*Pacer
			for _, run := range []string{"a", "b"} {
				p, gone := table.newRun(t, unknown, run)
				defer gone()
				pacers = append(pacers, p)
				runs.Go(func() { api.read(t, p, 8, endless, 20*time.Minute) })
			}
			runs.Wait()
			if api.list.refused > 0 || api.stream.refused > 3 {
				t.Log(pacers[0].Status(), pacers[1].Status(), api.bans)
				t.Errorf("seed %d: refused %d and %d times", seed, api.list.refused, api.stream.refused)
			}
			for _, p := range pacers {
				if s := p.Status()[1]; s.Limit != api.stream.limit {
					t.Errorf("seed %d: learned %s (%s), want %s", seed, s.Limit, s.Known, api.stream.limit)
				}
			}
		})
	}
}

// Without the table each run goes on by what it knows. When the table is back, the others learn what was sent.
func TestWithoutTheTableARunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, limit := newSimTable(), both(Limit{3, time.Minute}, Limit{3, time.Minute})
		a, gone := table.newRun(t, limit, "a")
		defer gone()
		b, gone := table.newRun(t, limit, "b")
		defer gone()
		takeCall(t, a, onlyList)
		takeCall(t, b, onlyList)
		table.away.Store(true)
		start := time.Now()
		if call := takeCall(t, a, onlyList); call.At.Sub(start) > time.Second {
			t.Errorf("without the table a request waited for %v", call.At.Sub(start))
		}
		table.away.Store(false)
		time.Sleep(2 * time.Second)
		if call := takeCall(t, b, onlyList); call.At.Sub(start) < slot-2*time.Second {
			t.Errorf("a fourth request came %v after the third", call.At.Sub(start))
		}
	})
}

// TestRegressARefusalWhileASlotIsBooked: a slot that the table had confirmed went although a refusal came before the table's answer did.
func TestRegressARefusalWhileASlotIsBooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, c := newSimTable(), both(Limit{10, time.Minute}, Limit{10, time.Minute})
		p, leave := table.newRun(t, c, "a")
		_, gone := table.newRun(t, c, "b") // so that a books
		time.Sleep(5 * time.Second)
		first := takeCall(t, p, onlyList)
		table.then = func(endpoints []string) {
			if len(endpoints) == 1 { // the second slot is confirmed
				p.Observe(first, Answer{Refused: true, RetryAfter: time.Minute})
			}
		}
		if second := takeCall(t, p, onlyList); second.At.Sub(first.At) < time.Minute {
			t.Errorf("the second request went %s after the first, which was refused for a minute", second.At.Sub(first.At))
		}
		leave()
		gone()
		time.Sleep(time.Minute) // their last looks at the table end
	})
}

// TestRegressARefusalIsWrittenBeforeAnotherQuotaIsUsed: a run that was refused went on with another quota, and one that joined then asked
// the first.
func TestRegressARefusalIsWrittenBeforeAnotherQuotaIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, c := newSimTable(), both(Limit{10, time.Minute}, Limit{10, time.Minute})
		a, b := newTestPacer(t, c), newTestPacer(t, c)
		if err := a.Join(t.Context(), table, "", "a"); err != nil {
			t.Fatal(err)
		}
		a.Observe(takeCall(t, a, onlyList), Answer{Refused: true, RetryAfter: time.Minute})
		a.Observe(takeCall(t, a, onlyStream), Answer{})
		began := time.Now()
		if err := b.Join(t.Context(), table, "", "b"); err != nil {
			t.Fatal(err)
		}
		if s := takeCall(t, b, onlyList); s.At.Sub(began) < 59*time.Second {
			t.Errorf("another run asked %s after a refusal for a minute", s.At.Sub(began))
		}
	})
}
