package datasync

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/fetch/apisim"
	"sluice/fetch/quota"
	"sluice/shard"
)

var (
	// allTold are the true limits, known from the start.
	allTold = quota.Config{Quotas: Quotas(quota.Limit{N: 10, Window: time.Minute}, quota.Limit{N: 50, Window: time.Minute})}
	// hidden are the true limits, to be found out. (The zero config stands for none in a world.)
	hidden = quota.Config{Quotas: Quotas(quota.Limit{}, quota.Limit{})}
)

// No end of time, no end of pages, and the speed of the pacer in requests a second.
const forever, endless, quotaSpeed = math.MaxInt64, math.MaxInt64, 5

func newTestPacer(tb testing.TB, c quota.Config) *quota.Pacer {
	tb.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	p, err := quota.NewPacer(c)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// The whole client under the true quotas: requests on connections, tokens that end every five minutes, cursors that
// live for two. The pacer alone, in TestPacerUsesTheQuota, knows nothing of them.
//
// 60 of 60.3 s, which is 99.5 %, is the most: that much is the margin where the server's cursors tell when it saw a request. With 64
// fetchers it was 95.1 %: when a token was renewed, every fetcher in line took its slot with the old one, and gave it back unused.
func TestTheClientUsesTheQuota(t *testing.T) {
	for _, c := range []struct {
		fetchers int
		pacer    quota.Config
		refused  int64 // at most, by the stream
	}{
		{8, allTold, 0}, {64, allTold, 0}, {8, hidden, 1}, {64, hidden, 1},
	} {
		t.Run(fmt.Sprintf("%d fetchers, stream %s", c.fetchers, c.pacer.Quotas[1].Limit), func(t *testing.T) {
			api, err := apisim.Profile(apisim.Challenge)
			if err != nil {
				t.Fatal(err)
			}
			play(t, scene{api: api, pacer: c.pacer, caps: both}, func(w *world) {
				w.readFor(45*time.Minute, c.fetchers)
				list, stream := w.pacer.Status()[0], w.pacer.Status()[1]
				if list.Used < 0.99 || stream.Used < 0.99 {
					t.Errorf("used %.4f of the list and %.4f of the stream, want 0.99", list.Used, stream.Used)
				}
				if got := w.counts(apisim.List).Limited; got > 0 {
					t.Errorf("the list refused %d times, want never", got)
				}
				if got := w.counts(apisim.Feed).Limited; got > c.refused {
					t.Errorf("the stream refused %d times, want at most %d", got, c.refused)
				}
				w.wantNoLockStep(apisim.Feed)
			})
		})
	}
}

// readFor lets fetchers read for a time, each in a window of its own.
func (w *world) readFor(d time.Duration, fetchers int) {
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	var fetching sync.WaitGroup
	for i := range fetchers {
		fetching.Go(func() {
			end := shard.Instant(w.sim.Data().Event(int64((i+1)*40_000)).OrderMS * 1000)
			_, _ = w.walkWith(ctx, shard.Position{End: end}, endless)
		})
	}
	fetching.Wait()
}

// wantNoLockStep holds that no two requests came in together: with all fetchers at once, one jam would be followed by the
// next.
func (w *world) wantNoLockStep(e apisim.Endpoint) {
	w.t.Helper()
	var at []time.Time
	for _, r := range w.sim.Requests() {
		if r.Endpoint == e {
			at = append(at, r.At)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	for i := range at[1:] {
		if apart := at[i+1].Sub(at[i]); apart < time.Second/quotaSpeed-time.Millisecond {
			w.t.Fatalf("two requests within %s, want them %s apart", apart, time.Second/quotaSpeed)
		}
	}
}

// Somebody else has just asked the same as every third request, and its answer comes from the cache for nothing: who pays for it
// leaves that much of the quota unused.
func TestTheClientGivesBackWhatWasFree(t *testing.T) {
	api, err := apisim.Profile(apisim.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	api.FreeHits = true
	var n atomic.Int64
	before := func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if k := n.Add(1); k%3 == 0 && r.Method == http.MethodGet {
			other := r.Clone(r.Context())
			other.Header.Set("X-API-Key", fmt.Sprintf("ds_%032x", k))
			next.ServeHTTP(httptest.NewRecorder(), other)
		}
		next.ServeHTTP(w, r)
	}
	play(t, scene{api: api, pacer: allTold, caps: both, between: before}, func(w *world) {
		w.readFor(20*time.Minute, 16)
		if got := w.counts(apisim.Feed).Limited + w.counts(apisim.List).Limited; got > 0 {
			t.Errorf("refused %d times, want never", got)
		}
		all := w.Traffic()
		if paid := float64(all.List + all.Stream - all.Cached); paid < 0.95*20*60 || all.Cached < 300 {
			t.Errorf("%.0f requests paid for and %d free, want at least 1140 and 300", paid, all.Cached)
		}
	})
}
