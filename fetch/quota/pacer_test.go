package quota

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/shard"
)

// onePerMinute lets one request a minute through at each endpoint.
var onePerMinute = both(Limit{1, time.Minute}, Limit{1, time.Minute})

// slot is when the next request may follow one at a limit of one per minute.
const slot = time.Minute + time.Minute/marginShare

func onlyList(e string) bool   { return e == "list" }
func onlyStream(e string) bool { return e == "stream" }

func takeCall(t *testing.T, p *Pacer, usable func(string) bool) Slot {
	t.Helper()
	c, err := p.Take(t.Context(), usable)
	if err != nil {
		t.Errorf("Take: %v", err) // not Fatal: some callers are goroutines
	}
	return c
}

func TestTakePrefersTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, onePerMinute), time.Now()
		for i, want := range []struct {
			endpoint string
			at       time.Duration
		}{{"list", 0}, {"stream", 0}, {"list", slot}, {"stream", slot}} {
			c := takeCall(t, p, simBoth)
			if c.Quota != want.endpoint || c.At.Sub(start) != want.at {
				t.Errorf("call %d: %s after %v, want %s after %v", i, c.Quota, c.At.Sub(start), want.endpoint, want.at)
			}
			p.Observe(c, Answer{})
		}
	})
}

func TestTakeWithoutAnEndpoint(t *testing.T) {
	p := newTestPacer(t, unknown)
	if _, err := p.Take(t.Context(), func(string) bool { return false }); !errors.Is(err, ErrNoQuota) {
		t.Errorf("got %v", err)
	}
}

func TestCancelledTakeTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, onePerMinute), time.Now()
		p.Observe(takeCall(t, p, onlyList), Answer{})
		stopped := errors.New("stopped by a test")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Second, func() { cancel(stopped) })
		if _, err := p.Take(ctx, onlyList); !errors.Is(err, stopped) || time.Since(start) != 10*time.Second {
			t.Errorf("got %v after %v, want the cause at once", err, time.Since(start))
		}
		if _, err := p.Take(ctx, onlyStream); !errors.Is(err, stopped) { // free, but the caller has gone
			t.Errorf("got %v, want the cause", err)
		}
		if s := p.Status(); s[0].Recent != 1 || s[1].Recent != 0 || s[0].Waiting != 0 {
			t.Errorf("%+v, want one request on the list and no one waiting", s)
		}
		if c := takeCall(t, p, onlyList); c.At.Sub(start) != slot {
			t.Errorf("next call after %v, want %v", c.At.Sub(start), slot)
		}
	})
}

func TestReturnFreesTheSlotAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, onePerMinute), time.Now()
		c := takeCall(t, p, onlyList)
		time.AfterFunc(5*time.Second, func() { p.Return(c) })
		if next := takeCall(t, p, onlyList); next.At.Sub(start) != 5*time.Second {
			t.Errorf("next call after %v, want 5s", next.At.Sub(start))
		}
		p.Return(c) // a second time is nothing, neither is an answer now
		p.Observe(c, Answer{Refused: true})
		if s := p.Status()[0]; s.Recent != 1 || s.Refusals != 0 {
			t.Errorf("%+v, want one request and no refusal", s)
		}
	})
}

// A caller that waits for the answer to a single request must not wait for one that was never sent.
func TestReturnEndsTheWaitForAReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, unknown), time.Now()
		c := takeCall(t, p, onlyList)
		time.AfterFunc(5*time.Second, func() { p.Return(c) })
		if next := takeCall(t, p, onlyList); next.At.Sub(start) != 5*time.Second {
			t.Errorf("next call after %v, want 5s", next.At.Sub(start))
		}
	})
}

// The first request to the list goes alone, because its answer carries the limit. After three answers without one, the rule ends.
func TestListIsAskedOneByOneUntilItsLimitIsKnown(t *testing.T) {
	for _, headers := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p, start := newTestPacer(t, unknown), time.Now()
			var at []time.Duration
			for range 5 {
				c := takeCall(t, p, onlyList)
				at = append(at, c.At.Sub(start))
				time.AfterFunc(3*time.Second, func() {
					a := Answer{}
					if headers {
						a = Answer{Limit: 10, Remaining: 9, Reset: time.Minute}
					}
					p.Observe(c, a)
				})
			}
			alone := 3
			if headers {
				alone = 1
			}
			for i := 1; i < len(at); i++ {
				if gap := at[i] - at[i-1]; (gap == 3*time.Second) != (i <= alone) {
					t.Errorf("headers %v: call %d came %v after the one before", headers, i, gap)
				}
			}
			time.Sleep(time.Minute)
		})
	}
}

func TestRetryAfterBeyondMaxWaitEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, onePerMinute), time.Now()
		p.Observe(takeCall(t, p, onlyList), Answer{})
		stopped := make(chan error)
		first := takeCall(t, p, onlyStream)
		go func() {
			_, err := p.Take(t.Context(), onlyStream)
			stopped <- err
		}()
		synctest.Wait()
		p.Observe(first, Answer{Refused: true, RetryAfter: time.Hour})

		var transient *shard.TransientError
		if err := <-stopped; !errors.As(err, &transient) || transient.After != time.Hour {
			t.Fatalf("got %v, want a fault that passes while the list is open", err)
		}
		if c := takeCall(t, p, simBoth); c.Quota != "list" {
			t.Errorf("%s, want the list, which goes on alone", c.Quota)
		}
		if s := kept(t, p)[1]; !s.NotBefore.Equal(start.Add(time.Hour)) {
			t.Errorf("the next run would start at %v, want %v", s.NotBefore, start.Add(time.Hour))
		}
		time.Sleep(46 * time.Minute) // what is left is below MaxWait
		if c := takeCall(t, p, onlyStream); c.At.Sub(start) != time.Hour {
			t.Errorf("next call after %v, want %v", c.At.Sub(start), time.Hour)
		}
	})
}

// TestLongWaitsEndTheRun if no quota is open: for a Retry-After, and for a window that is so long that a run must not wait it out.
func TestLongWaitsEndTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, both(Limit{N: 1, Window: time.Minute}, Limit{N: 1, Window: time.Hour})), time.Now()
		p.Observe(takeCall(t, p, onlyStream), Answer{})
		p.Observe(takeCall(t, p, onlyList), Answer{Refused: true, RetryAfter: time.Hour})
		var stop *shard.StopError
		if _, err := p.Take(t.Context(), simBoth); !errors.As(err, &stop) || stop.Reason != shard.WaitTooLong {
			t.Fatalf("got %v, want a StopError for a wait that is too long", err)
		}
		back := start.Add(time.Hour).Format("2006-01-02T15:04")
		if !strings.Contains(stop.Error(), back) || !strings.Contains(stop.Hint, back) {
			t.Errorf("%q, %q: do not say to come back at %s", stop.Error(), stop.Hint, back)
		}
	})
}

func TestPauseHoldsForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, both(Limit{}, Limit{100, time.Minute})), time.Now()
		refused := takeCall(t, p, onlyStream)
		p.Observe(refused, Answer{Refused: true, RetryAfter: 30 * time.Second})
		var mu sync.Mutex
		var at []time.Duration
		var callers sync.WaitGroup
		for range 64 {
			callers.Go(func() {
				c := takeCall(t, p, onlyStream)
				mu.Lock()
				at = append(at, c.At.Sub(start))
				mu.Unlock()
				time.Sleep(3 * time.Second)
				p.Observe(c, Answer{})
			})
		}
		callers.Wait()
		slices.Sort(at)
		if at[0] < 30*time.Second || at[1]-at[0] < 3*time.Second {
			t.Errorf("first calls at %v, want none before 30s and the second after the first's reply", at[:3])
		}
	})
}

func TestSentCountsFromTheMomentOfWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, both(Limit{1, time.Minute}, Limit{})), time.Now()
		c := takeCall(t, p, onlyList)
		time.Sleep(2 * time.Second) // to connect
		p.Sent(c)
		time.Sleep(time.Second)
		p.Observe(c, Answer{})
		if next := takeCall(t, p, onlyList); next.At.Sub(start) != 2*time.Second+slot {
			t.Errorf("next call after %v, want %v", next.At.Sub(start), 2*time.Second+slot)
		}
	})
}

func TestFreeAnswersLeaveTheQuotaAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPacer(t, onePerMinute)
		for range 5 {
			p.Observe(takeCall(t, p, onlyStream), Answer{Free: true})
		}
		if s := p.Status()[1]; s.Recent != 0 {
			t.Errorf("%d requests counted, want 0", s.Recent)
		}
	})
}

func TestPacerConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		config Config
		faults []string
	}{
		{Config{}, []string{"Config.Quotas: 0 quotas"}},
		{Config{Quotas: make([]Spec, 65)}, []string{"Config.Quotas: 65 quotas"}},
		{Config{Quotas: []Spec{{Name: "list"}, {Name: "list"}, {}}}, []string{`the name "list" is`, `the name "" is`}},
		{
			Config{Quotas: both(Limit{10, time.Millisecond}, Limit{N: -2}).Quotas, MaxWait: -time.Second},
			[]string{"Config.Quotas: list: ", "Config.Quotas: stream: ", "Config.MaxWait"},
		},
	} {
		_, err := NewPacer(c.config)
		for _, fault := range c.faults {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%+v: the error %v does not say %q", c.config, err, fault)
			}
		}
	}
}

// Three endpoints of one API, each with a limit of its own: two are configured and one is learned. Eight fetchers use all of all
// three; a second run, which has two of them in another order, finds them in the table by name.
func TestThreeQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := map[string]*simLimiter{
			"search": {limit: Limit{5, time.Minute}}, "feed": {limit: Limit{30, time.Minute}}, "export": {limit: Limit{40, 2 * time.Minute}},
		}
		specs := []Spec{{"search", servers["search"].limit, false}, {"feed", Limit{}, false}, {"export", servers["export"].limit, false}}
		table := newSimTable()
		p, gone := table.newRun(t, Config{Quotas: specs}, "first")
		var first []Slot
		for range 3 {
			first = append(first, takeCall(t, p, func(name string) bool {
				return !slices.ContainsFunc(first, func(c Slot) bool { return c.Quota == name })
			}))
		}
		for i, c := range first {
			if c.Quota != specs[i].Name {
				t.Errorf("slot %d is of %s, want %s", i, c.Quota, specs[i].Name)
			}
			p.Return(c)
		}

		ctx, stop := context.WithTimeout(t.Context(), 40*time.Minute)
		defer stop()
		from := time.Now().Add(20 * time.Minute)
		var fetchers sync.WaitGroup
		for range 8 {
			fetchers.Go(func() {
				for {
					c, err := p.Take(ctx, simBoth)
					if err != nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
					a := servers[c.Quota].arrive()
					servers[c.Quota].tally(a)
					if !a.Refused {
						time.Sleep(3 * time.Second)
					}
					p.Observe(c, a)
				}
			})
		}
		fetchers.Wait()
		for _, s := range p.Status() {
			server := servers[s.Name]
			if used := server.used(from, time.Now()); used < 0.97 || server.refused > 1 {
				t.Errorf("%s: used %.3f, refused %d times", s.Name, used, server.refused)
			}
			if s.Limit != server.limit {
				t.Errorf("%s: limit %s (%s), want %s", s.Name, s.Limit, s.Known, server.limit)
			}
		}
		if err := p.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		gone()

		second, gone := table.newRun(t, Config{Quotas: []Spec{{Name: "export"}, {Name: "feed"}}}, "second")
		defer gone()
		for i, want := range []Status{
			{Name: "export", Known: Unknown}, // the limit was configured for the first run only
			{Name: "feed", Known: Remembered, Limit: servers["feed"].limit},
		} {
			got := second.Status()[i]
			if got.Recent == 0 {
				t.Errorf("%s: the requests of the first run are forgotten", got.Name)
			}
			if got.Recent = 0; got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	})
}

// A refusal of one quota holds back that one alone.
func TestARefusalPausesOneOfThreeQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, Config{Quotas: []Spec{{Name: "search"}, {Name: "feed"}, {Name: "export"}}}), time.Now()
		only := func(name string) func(string) bool { return func(n string) bool { return n == name } }
		p.Observe(takeCall(t, p, only("feed")), Answer{Refused: true, RetryAfter: time.Minute})
		for _, name := range []string{"search", "export"} {
			if c := takeCall(t, p, only(name)); c.At != start {
				t.Errorf("%s: a slot after %v, want one at once", name, c.At.Sub(start))
			}
		}
		if c := takeCall(t, p, only("feed")); c.At.Sub(start) != time.Minute {
			t.Errorf("feed: a slot after %v, want 1m", c.At.Sub(start))
		}
	})
}

// BenchmarkPacer measures the overhead of Take and Observe if nothing is paced.
func BenchmarkPacer(b *testing.B) {
	p := newTestPacer(b, both(Limit{N: Unlimited}, Limit{N: Unlimited}))
	b.ReportAllocs()
	for b.Loop() {
		call, err := p.Take(b.Context(), simBoth)
		if err != nil {
			b.Fatal(err)
		}
		p.Observe(call, Answer{})
	}
}

// TestRegressARequestUnderWayIsNotGivenUp: with one request in a window longer than MaxWait, whoever waited for the next one ended the run
// while the first was under way, and each run after it. The page that it brings is stored before.
func TestRegressARequestUnderWayIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, Config{Quotas: []Spec{{"stream", Limit{N: 1, Window: time.Hour}, false}}}), time.Now()
		first := takeCall(t, p, onlyStream)
		go func() {
			time.Sleep(time.Minute)
			p.Observe(first, Answer{})
		}()
		var stop *shard.StopError
		_, err := p.Take(t.Context(), onlyStream)
		if waited := time.Since(start); !errors.As(err, &stop) || stop.Reason != shard.WaitTooLong || waited != time.Minute+arrival {
			t.Errorf("got %v after %s, want a StopError %s after the answer", err, waited, arrival)
		}
	})
}

// TestRegressAMistakenWindowIsGivenUp: refusals for other reasons had led to one request in a quarter of an hour, for ever. One request
// tries whether that is so.
func TestRegressAMistakenWindowIsGivenUp(t *testing.T) {
	for _, refused := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p, start := newTestPacer(t, Config{Quotas: []Spec{{"stream", Limit{}, false}}, MaxWait: time.Hour}), time.Now()
			p.quotas[0].believe(Limit{N: 1, Window: longestPause}, Learned)
			p.Observe(takeCall(t, p, onlyStream), Answer{})
			p.Observe(takeCall(t, p, onlyStream), Answer{Refused: refused})
			tried := time.Since(start)
			p.Observe(takeCall(t, p, onlyStream), Answer{})
			if next := time.Since(start) - tried; tried > 2*time.Minute || refused != (next >= longestPause) {
				t.Errorf("refused %t: tried after %s, and the next one went %s later", refused, tried, next)
			}
		})
	}
}
