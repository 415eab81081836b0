package quota

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func newTestPacer(tb testing.TB, c Config) *Pacer {
	tb.Helper()
	c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	p, err := NewPacer(c)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// both configures the two quotas of the simulated API, of which only the list announces its limit.
func both(list, stream Limit) Config {
	return Config{Quotas: []Spec{{"list", list, true}, {"stream", stream, false}}}
}

// unknown leaves both limits to be learned.
var unknown = both(Limit{}, Limit{})

// allConfigured are the true limits, known from the start.
var allConfigured = both(Limit{10, time.Minute}, Limit{50, time.Minute})

// No end of time, and no end of pages.
const forever, endless = math.MaxInt64, math.MaxInt64

func TestPacerReads600Pages(t *testing.T) {
	for _, c := range []struct {
		fetchers int
		config   Config
		seconds  float64
		refusals int
	}{
		{1, unknown, 2050, 0},
		{4, unknown, 610, 1},
		{8, unknown, 590, 1},
		{64, unknown, 578, 1},
		{8, allConfigured, 583, 0},
		{64, allConfigured, 565, 0},
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%d fetchers, stream %s, seed %d", c.fetchers, c.config.Quotas[1].Limit, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					api := newSimAPI(seed)
					took := api.read(t, newTestPacer(t, c.config), c.fetchers, 600, forever)
					if took.Seconds() > c.seconds {
						t.Errorf("took %v, want at most %v s", took, c.seconds)
					}
					if api.list.refused > 0 || api.stream.refused > c.refusals {
						t.Errorf("refused %d and %d times, want 0 and at most %d", api.list.refused, api.stream.refused, c.refusals)
					}
					if api.list.most > 10 || api.stream.most > 50+api.stream.refused {
						t.Errorf("%d and %d requests in one window, want at most 10, and 50 and the refused", api.list.most, api.stream.most)
					}
				})
			})
		}
	}
}

// simUse is what a test demands of an hour's use, after a quarter of an hour to settle.
type simUse struct {
	list, stream float64 // least share of the quota that is used
	refusals     [2]int  // at most, from the start, list and stream
	streak       int     // at most so many in a row
}

func (s *simAPI) hour(t *testing.T, p *Pacer, fetchers int, want simUse) {
	t.Helper()
	s.steady(t, p, fetchers, 15*time.Minute, want)
}

// steady reads five times as long as it takes to settle, and checks the use from then on.
func (s *simAPI) steady(t *testing.T, p *Pacer, fetchers int, settle time.Duration, want simUse) {
	t.Helper()
	from := time.Now().Add(settle)
	s.read(t, p, fetchers, endless, 5*settle)
	to := from.Add(4 * settle)
	list, stream := s.list.used(from, to), s.stream.used(from, to)
	if list < want.list || stream < want.stream {
		t.Errorf("used %.3f of the list and %.3f of the stream, want %.3f and %.3f", list, stream, want.list, want.stream)
	}
	if s.list.refused > want.refusals[0] || s.stream.refused > want.refusals[1] {
		t.Errorf("refused %d and %d times, want at most %v", s.list.refused, s.stream.refused, want.refusals)
	}
	if longest := max(s.list.longest, s.stream.longest); longest > want.streak {
		t.Errorf("%d refusals in a row, want at most %d", longest, want.streak)
	}
}

func TestPacerUsesTheQuota(t *testing.T) {
	streamOf := func(n int) func(*simAPI) { return func(s *simAPI) { s.stream.limit.N = n } }
	for _, c := range []struct {
		name     string
		set      func(*simAPI)
		config   Config
		fetchers []int
		want     simUse
	}{
		{"as it is", func(*simAPI) {}, unknown, []int{4, 8, 64}, simUse{0.98, 0.98, [2]int{0, 1}, 1}},
		{"configured", func(*simAPI) {}, allConfigured, []int{8, 64}, simUse{0.98, 0.98, [2]int{0, 0}, 0}},
		{"configured too high", streamOf(40), allConfigured, []int{8}, simUse{0.98, 0.98, [2]int{0, 4}, 3}},
		{"20 a minute", streamOf(20), unknown, []int{8}, simUse{0.98, 0.98, [2]int{0, 3}, 3}},
		{"40 a minute", streamOf(40), unknown, []int{8}, simUse{0.98, 0.98, [2]int{0, 1}, 1}},
		{"100 a minute", streamOf(100), unknown, []int{8}, simUse{0.98, 0.98, [2]int{0, 2}, 2}},
	} {
		for _, fetchers := range c.fetchers {
			t.Run(fmt.Sprintf("%s, %d fetchers", c.name, fetchers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					api := newSimAPI(7)
					c.set(api)
					api.hour(t, newTestPacer(t, c.config), fetchers, c.want)
				})
			})
		}
	}
}

// Servers and networks that differ from the API as it was observed. A share below 98 % is the one that is reached, so that a change for
// the worse is noticed; what matters is that refusals do not follow one another without end.
func TestPacerUsesTheQuotaOfOtherServers(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*simAPI)
		want simUse
	}{
		{"refusals do not count", func(s *simAPI) {
			s.list.forgiving, s.stream.forgiving = true, true
		}, simUse{0.98, 0.98, [2]int{0, 1}, 1}},
		{"no Retry-After", func(s *simAPI) {
			s.stream.mute = true
		}, simUse{0.98, 0.98, [2]int{0, 1}, 1}},
		{"no Retry-After, 200 in 5 minutes", func(s *simAPI) {
			s.stream.mute, s.stream.limit = true, Limit{200, 5 * time.Minute}
		}, simUse{0.98, 0.98, [2]int{0, 5}, 4}},
		{"windows that do not slide", func(s *simAPI) {
			s.list.fixed, s.stream.fixed = true, true
			time.Sleep(30 * time.Second) // into one, whose end cuts what is learned in two
		}, simUse{0.98, 0.98, [2]int{0, 3}, 2}},
		{"refusals as slow as pages", func(s *simAPI) {
			s.net.refusal = 3300 * time.Millisecond
		}, simUse{0.98, 0.98, [2]int{0, 8}, 8}},
		{"replies lost", func(s *simAPI) {
			s.lost = func(k uint64) bool { return k%20 == 7 }
		}, simUse{0.98, 0.98, [2]int{0, 2}, 2}},
		{"answers from the cache are free", func(s *simAPI) {
			s.hit, s.freeHits = oneInTwenty, true
		}, simUse{0.98, 0.98, [2]int{0, 2}, 2}},
		{"answers from the cache are counted", func(s *simAPI) {
			s.hit = oneInTwenty
		}, simUse{0.98, 0.98, [2]int{0, 1}, 1}},
		{"jitter beyond the margin", func(s *simAPI) {
			s.net.oneWay = simJitter
		}, simUse{0.94, 0.93, [2]int{6, 9}, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newSimAPI(7)
				c.set(api)
				api.hour(t, newTestPacer(t, unknown), 8, c.want)
			})
		})
	}
}

// A server with fixed windows, from any point inside one: a limit learned across an edge must not be tried again and again. There were
// up to 58 refusals, and windows were taken to be 149 seconds long.
func TestPacerInWindowsThatDoNotSlide(t *testing.T) {
	for seed := range seeds(24) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newSimAPI(seed)
				api.list.fixed, api.stream.fixed = true, true
				time.Sleep(time.Duration(seed) * 5 * time.Second)
				api.hour(t, newTestPacer(t, unknown), 8, simUse{0.97, 0.97, [2]int{0, 7}, 3})
			})
		})
	}
}

// Two refusals a whole number of minutes apart by chance: though the list's headers announced 10, the pacer used 9 for an hour.
func TestPacerBelievesTheHeadersOverAChance(t *testing.T) {
	for _, seed := range []uint64{8, 17} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newSimAPI(seed)
				api.net.oneWay, api.clock = simJitter, blind
				api.hour(t, newTestPacer(t, unknown), 8, simUse{0.94, 0.93, [2]int{6, 9}, 3})
			})
		})
	}
}

func oneInTwenty(k uint64) bool { return k%20 == 11 }

// simJitter delays one request in twenty by up to 2.5 s, which no margin of one second covers.
func simJitter(r *rand.Rand) time.Duration {
	d := simInternet(r)
	if r.IntN(20) == 0 {
		d += simBetween(r, 0, 2500*time.Millisecond)
	}
	return d
}

// The demo's limits: the same ten times faster.
func TestPacerUsesShortWindows(t *testing.T) {
	for _, fetchers := range []int{8, 64} {
		synctest.Test(t, func(t *testing.T) {
			api := newSimAPI(3)
			api.list.limit.Window, api.stream.limit.Window = 6*time.Second, 6*time.Second
			api.net.page = [2]time.Duration{300 * time.Millisecond, 370 * time.Millisecond}
			api.net.oneWay = func(r *rand.Rand) time.Duration { return simInternet(r) / 10 }
			p := newTestPacer(t, both(Limit{10, 6 * time.Second}, Limit{50, 6 * time.Second}))
			api.steady(t, p, fetchers, 90*time.Second, simUse{list: 0.96, stream: 0.96})
		})
	}
}

func TestPacerLearnsTheLimitExactly(t *testing.T) {
	for _, limit := range []Limit{
		{20, time.Minute}, {40, time.Minute}, {50, time.Minute}, {60, time.Minute}, {100, time.Minute}, {200, 5 * time.Minute},
	} {
		for _, fetchers := range []int{8, 64} {
			for seed := range seeds(4) {
				t.Run(fmt.Sprintf("%s, %d fetchers, seed %d", limit, fetchers, seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						api := newSimAPI(seed)
						api.stream.limit = limit
						p := newTestPacer(t, unknown)
						api.read(t, p, fetchers, endless, 10*time.Minute)
						list, stream := p.Status()[0], p.Status()[1]
						if list.Limit != api.list.limit || list.Known != Announced {
							t.Errorf("list: %s (%s), want %s", list.Limit, list.Known, api.list.limit)
						}
						if stream.Limit != limit || stream.Known != Learned {
							t.Errorf("stream: %s (%s), want %s", stream.Limit, stream.Known, limit)
						}
						if api.stream.refused != stream.Refusals || stream.Refusals > 3 {
							t.Errorf("%d refusals (status: %d), want at most 3", api.stream.refused, stream.Refusals)
						}
					})
				})
			}
		}
	}
}

// The share in Status is that which the server has counted.
func TestStatusTellsTheShareUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, p := newSimAPI(1), newTestPacer(t, allConfigured)
		if used := p.Status()[1].Used; used != 0 {
			t.Errorf("used %v before the first request", used)
		}
		start := time.Now()
		api.read(t, p, 3, endless, 32*time.Minute) // 3 fetchers cannot use it all
		truth := api.stream.used(start.Add(2*time.Minute), start.Add(32*time.Minute))
		if used := p.Status()[1].Used; math.Abs(used-truth) > 0.01 || truth > 0.95 {
			t.Errorf("used %.3f of the stream, the server says %.3f", used, truth)
		}
	})
}

// Another client spends of both quotas: it gets its share, and refusals stay rare.
func TestPacerYieldsToOthers(t *testing.T) {
	for _, fetchers := range []int{8, 64} {
		synctest.Test(t, func(t *testing.T) {
			api := newSimAPI(5)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go api.intrude(ctx, 5*time.Second, 6)
			p, start := newTestPacer(t, unknown), time.Now()
			api.hour(t, p, fetchers, simUse{0.70, 0.74, [2]int{9, 12}, 3})
			truth := api.list.used(start.Add(2*time.Minute), time.Now())
			if used := p.Status()[0].Used; math.Abs(used-truth) > 0.04 { // theirs must not be taken for ours
				t.Errorf("used %.3f of the list, the server says %.3f", used, truth)
			}
		})
	}
}

// A key that was used just before: the server's log is not empty, though ours is.
func TestPacerStartsOnASpentQuota(t *testing.T) {
	for _, fetchers := range []int{8, 64} {
		synctest.Test(t, func(t *testing.T) {
			api := newSimAPI(6)
			for i := range 30 {
				api.stream.arrive()
				if i%3 == 0 {
					api.list.arrive()
				}
				time.Sleep(time.Second)
			}
			api.hour(t, newTestPacer(t, unknown), fetchers, simUse{0.98, 0.97, [2]int{1, 12}, 3})
		})
	}
}

// One bucket of 10 for both endpoints, which only the list announces: 3,540 s would be the best.
func TestPacerSharesOneBucket(t *testing.T) {
	for _, fetchers := range []int{8, 64} {
		synctest.Test(t, func(t *testing.T) {
			api := newSimAPI(2)
			api.stream = api.list
			took := api.read(t, newTestPacer(t, unknown), fetchers, 600, forever)
			if took > 4300*time.Second || api.list.longest > 4 {
				t.Errorf("took %v with %d refusals in a row, want at most 4300s and 4", took, api.list.longest)
			}
		})
	}
}

// The server may change the limit of the list in the middle of a run.
func TestPacerFollowsAnAnnouncedChange(t *testing.T) {
	for _, n := range []int{5, 20} {
		synctest.Test(t, func(t *testing.T) {
			api, p := newSimAPI(4), newTestPacer(t, allConfigured)
			api.read(t, p, 8, 100, forever)
			api.list.mu.Lock()
			api.list.limit.N = n
			api.list.mu.Unlock()
			api.hour(t, p, 8, simUse{0.98, 0.98, [2]int{8, 0}, 8})
			if got := p.Status()[0].Limit.N; got != n {
				t.Errorf("limit %d, want %d", got, n)
			}
		})
	}
}

func TestUnlimitedIsNotPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newSimAPI(1)
		api.list.limit.N, api.stream.limit.N = Unlimited, Unlimited
		api.net.page = [2]time.Duration{time.Millisecond, time.Millisecond}
		api.net.oneWay = func(*rand.Rand) time.Duration { return 0 }
		p := newTestPacer(t, both(Limit{N: Unlimited}, Limit{N: Unlimited}))
		if took := api.read(t, p, 8, 8000, forever); took > 1001*time.Millisecond {
			t.Errorf("took %v, want 1s", took)
		}
		for _, s := range p.Status() {
			if s.Limit.N != Unlimited || s.Recent != 0 {
				t.Errorf("%+v, want no limit and no log", s)
			}
		}
	})
}

// An endpoint that is configured as unlimited and refuses has a limit: it is learned as if nothing had been configured.
func TestUnlimitedIsNotBelievedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newSimAPI(1)
		p := newTestPacer(t, both(Limit{}, Limit{N: Unlimited}))
		api.hour(t, p, 8, simUse{0.98, 0.98, [2]int{0, 20}, 20})
		if got := p.Status()[1]; got.Limit != api.stream.limit || got.Known != Learned {
			t.Errorf("limit %s (%s), want %s", got.Limit, got.Known, api.stream.limit)
		}
	})
}

// A second run an instant after the first continues as if there had been one.
func TestRestoredPacerSpendsTheSameQuota(t *testing.T) {
	for _, after := range []time.Duration{0, 20 * time.Second, 2 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			api, first := newSimAPI(9), newTestPacer(t, unknown)
			api.read(t, first, 8, 90, forever)
			learned := api.stream.refused
			time.Sleep(after)

			left := kept(t, first)
			second := startAfter(t, unknown, left[:]...)
			if s := second.Status()[1]; s.Known != Remembered || s.Limit != api.stream.limit {
				t.Errorf("stream %s (%s), want %s, remembered", s.Limit, s.Known, api.stream.limit)
			}
			api.hour(t, second, 8, simUse{0.98, 0.98, [2]int{0, learned}, learned})
		})
	}
}
