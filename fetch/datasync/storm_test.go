package datasync

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/fetch/apisim"
	"sluice/fetch/quota"
	"sluice/shard"
)

// learnedWindow is what is waited where a refusal says nothing of use: the window of a minute that all APIs are believed to
// have, until the log has drained.
const learnedWindow = time.Minute

// Every way in which a 429 may say when to come back, and the many in which it may not. Eight fetchers share it: none of them
// sends anything before.
func TestNobodyIsEarlyAfterA429(t *testing.T) {
	const never = -1
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for name, c := range map[string]struct {
		header func() string // of Retry-After; nil: there is none
		body   string
		wait   time.Duration
	}{
		"seconds":               {func() string { return "46" }, "", 46 * time.Second},
		"one second":            {func() string { return "1" }, "", time.Second},
		"0":                     {func() string { return "0" }, "", learnedWindow},
		"negative":              {func() string { return "-1" }, "", learnedWindow},
		"1.5":                   {func() string { return "1.5" }, "", 2 * time.Second},
		"1e6":                   {func() string { return "1e6" }, "", learnedWindow},
		"a million":             {func() string { return "1000000" }, "", never},
		"beyond all numbers":    {func() string { return "99999999999999999999999" }, "", never},
		"a date":                {func() string { return in(90 * time.Second) }, "", 90 * time.Second},
		"a date long past":      {func() string { return in(-24 * time.Hour) }, "", learnedWindow},
		"a date far away":       {func() string { return in(24 * time.Hour) }, "", never},
		"garbage":               {func() string { return "soon" }, "", learnedWindow},
		"empty":                 {func() string { return "" }, "", learnedWindow},
		"nothing":               {nil, "", learnedWindow},
		"HTML":                  {nil, htmlPage, learnedWindow},
		"in the body":           {nil, `{"rateLimit":{"retryAfter":46}}`, 46 * time.Second},
		"a part, in the body":   {nil, `{"rateLimit":{"retryAfter":46.2}}`, 47 * time.Second},
		"negative, in the body": {nil, `{"rateLimit":{"retryAfter":-5}}`, learnedWindow},
		"text, in the body":     {nil, `{"rateLimit":{"retryAfter":"46"}}`, learnedWindow},
		"huge, in the body":     {nil, `{"rateLimit":{"retryAfter":1e300}}`, never},
		"both, the header wins": {func() string { return "30" }, `{"rateLimit":{"retryAfter":3}}`, 30 * time.Second},
		"both, the header less": {func() string { return "3" }, `{"rateLimit":{"retryAfter":30}}`, 3 * time.Second},
		"garbage, and the body": {func() string { return "soon" }, `{"rateLimit":{"retryAfter":46}}`, 46 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var asked, early, after atomic.Int64
			var ban time.Time // written by request 20, read by those after it
			var mu sync.Mutex
			api := func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				switch n := asked.Add(1); {
				case n < 20:
					fixed(emptyPage)(w, r)
				case n == 20:
					ban = time.Now().Add(c.wait)
					if c.header != nil {
						w.Header().Set("Retry-After", c.header())
					}
					w.WriteHeader(429)
					_, _ = w.Write([]byte(c.body))
				default:
					if after.Add(1); c.wait == never || time.Now().Before(ban) {
						early.Add(1)
					}
					fixed(emptyPage)(w, r)
				}
			}
			play(t, scene{caps: listOnly, answer: api, pacer: quota.Config{Quotas: Quotas(quota.Limit{}, quota.Limit{N: quota.Unlimited})}}, func(w *world) {
				err := w.storm(8, 10*time.Minute)
				if early.Load() > 0 || (after.Load() > 0) != (c.wait != never) {
					w.t.Errorf("%d requests before the time, %d after the refusal", early.Load(), after.Load())
				}
				if c.wait == never {
					wantStop(w.t, err, shard.WaitTooLong)
				} else if err != nil {
					w.t.Error(err)
				}
			})
		})
	}
}

// storm lets some fetchers ask for a time, and returns the first error that stops them.
func (w *world) storm(fetchers int, long time.Duration) (first error) {
	ctx, cancel := context.WithTimeoutCause(w.t.Context(), long, context.DeadlineExceeded)
	defer cancel()
	var all sync.WaitGroup
	var once sync.Once
	for range fetchers {
		all.Go(func() {
			for ctx.Err() == nil {
				_, err := w.walkWith(ctx, top, 1)
				var transient *shard.TransientError
				if err != nil && ctx.Err() == nil && !errors.As(err, &transient) {
					once.Do(func() { first = err })
					return
				}
				_ = shard.Sleep(ctx, time.Second)
			}
		})
	}
	all.Wait()
	return first
}

// A storm in which every second request is refused loses nothing, ends, and is not answered with a storm.
func TestStormOf429s(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 3000, CursorLife: time.Hour}, caps: listOnly, pacer: quota.Config{Quotas: Quotas(quota.Limit{}, quota.Limit{N: quota.Unlimited})}}, func(w *world) {
		for range 15 {
			w.sim.Script(apisim.List, apisim.Limited(5*time.Second), apisim.Behave())
		}
		w.wantEvents(w.must(w.walk(top, forever)), w.truth())
		if n := w.counts(apisim.List).Requests; n != 30+15 {
			w.t.Errorf("%d requests for 30 pages and 15 refusals", n)
		}
	})
}

// An API that is out of order for minutes costs three requests an attempt, is never taken for the end, and is asked no sooner
// than it wants.
func TestServerErrorsForMinutes(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		most   int64 // requests in ten minutes of an attempt every 10 s
	}{
		"500":                  {answered(500, jsonType, `{"error":"x","message":"y","code":"INTERNAL_ERROR"}`), 180},
		"502 HTML":             {answered(502, "text/html", htmlPage), 180},
		"503":                  {answered(503, jsonType, ``), 180},
		"503 for 2 minutes":    {answered(503, jsonType, ``, "Retry-After", "120"), 6},
		"504 for 60 s, by all": {answered(504, "text/html", htmlPage, "Retry-After", "60"), 12},
		"408":                  {answered(408, jsonType, ``), 180},
		"dropped":              {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 180},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			var well atomic.Bool
			play(t, scene{caps: listOnly, answer: func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1); well.Load() {
					fixed(emptyPage)(w, r)
					return
				}
				c.answer(w, r)
			}}, func(w *world) {
				for start := time.Now(); time.Since(start) < 10*time.Minute; time.Sleep(10 * time.Second) {
					pages, err := w.walk(top, forever)
					if wantTransient(w.t, err); len(pages) > 0 {
						w.t.Fatalf("%d pages", len(pages))
					}
				}
				if n := asked.Load(); n > c.most || n < 3 {
					w.t.Errorf("%d requests, want at most %d", n, c.most)
				}
				well.Store(true)
				w.must(w.walk(top, forever))
			})
		})
	}
}

// A maintenance that lasts longer than a run waits ends it at once, and it says when to come back.
func TestLongMaintenanceStopsTheRun(t *testing.T) {
	play(t, scene{caps: listOnly, answer: answered(503, jsonType, ``, "Retry-After", "1000000")}, func(w *world) {
		start := time.Now()
		_, err := w.ask()
		stop := wantStop(w.t, err, shard.WaitTooLong)
		if back := start.Add(1_000_000 * time.Second).Format("2006-01-02T15:"); time.Since(start) > time.Minute || !strings.Contains(stop.Hint, back) {
			w.t.Errorf("after %v: %v, %s; want %s", time.Since(start), err, stop.Hint, back)
		}
	})
}
