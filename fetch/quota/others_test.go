package quota

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// Somebody else spends of both quotas: he gets his share, and refusals stay rare.
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

// A key that was used just before: the server's log is not empty, and ours does not know.
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

// One bucket of 10 for both endpoints, of which only the list speaks: 3,540 s would be the best.
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

// The server may change its mind about the list in the middle of a run.
func TestPacerFollowsAnAnnouncedChange(t *testing.T) {
	for _, n := range []int{5, 20} {
		synctest.Test(t, func(t *testing.T) {
			api, p := newSimAPI(4), newTestPacer(t, allTold)
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

// An endpoint that is said to have no limit and refuses has one: it is learned, as if nothing had been said.
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
