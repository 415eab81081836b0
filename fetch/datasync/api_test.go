package datasync

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/fetch/apisim"
	"sluice/fetch/quota"
	"sluice/shard"
)

// A status is classified: once, it is a fault that passes, or one that a few attempts may get past.
func TestStatusSaysWhatARetryWouldMend(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		want   func(*testing.T, error)
	}{
		"401": {401, func(t *testing.T, err error) { wantTransient(t, err) }},
		"403": {403, func(t *testing.T, err error) { wantTransient(t, err) }},
		"404": {404, wantStuck},
		"418": {418, wantStuck},
		"307": {307, wantStuck},
		"500": {500, func(t *testing.T, err error) { wantTransient(t, err) }},
		"504": {504, func(t *testing.T, err error) { wantTransient(t, err) }},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{api: apisim.Config{Events: 500}, caps: listOnly}, func(w *world) {
				w.sim.Script(apisim.List, slices.Repeat([]apisim.Fault{apisim.Status(c.status)}, 10)...)
				_, err := w.ask()
				c.want(w.t, err)
			})
		})
	}
}

// A body that is no page is a transient fault: the page is requested three times in a row, and it is never the end of the data.
func TestWhatIsNoPageIsAskedForAgain(t *testing.T) {
	for name, c := range map[string]struct{ content, body string }{
		"HTML":                    {"text/html", htmlPage},
		"HTML that claims JSON":   {jsonType, htmlPage},
		"null":                    {jsonType, "null"},
		"{}":                      {jsonType, "{}"},
		"[]":                      {jsonType, "[]"},
		"a string":                {jsonType, `"maintenance"`},
		"a number":                {jsonType, "0"},
		"nothing":                 {jsonType, ""},
		"blanks":                  {jsonType, " \n\t"},
		"an error":                {jsonType, `{"error":"Internal","message":"try later","code":"X"}`},
		"an error with a page":    {jsonType, onePage(`{"data"`, `{"error":"partial","data"`)},
		"an error with the key":   {jsonType, onePage(`{"data"`, `{"error":"`+canary+`","data"`)},
		"a page as HTML":          {"text/html; charset=utf-8", onePage("", "")},
		"a page as text":          {"text/plain", onePage("", "")},
		"a page in UTF-16":        {jsonType + "; charset=utf-16", onePage("", "")},
		"a page in Latin-1":       {jsonType + `; charset="iso-8859-1"`, onePage("", "")},
		"bytes of UTF-16":         {jsonType, "\xff\xfe{\x00}\x00"},
		"data null":               {jsonType, onePage("["+soundRecord+"]", "null")},
		"data an object":          {jsonType, onePage("["+soundRecord+"]", "{}")},
		"data a string":           {jsonType, onePage("["+soundRecord+"]", `"x"`)},
		"no data":                 {jsonType, onePage(`"data"`, `"Data"`)},
		"hasMore as a string":     {jsonType, onePage(`"hasMore":true`, `"hasMore":"true"`)},
		"hasMore as a number":     {jsonType, onePage(`"hasMore":true`, `"hasMore":1`)},
		"hasMore null":            {jsonType, onePage(`"hasMore":true`, `"hasMore":null`)},
		"no hasMore":              {jsonType, onePage(`"hasMore":true,`, ``)},
		"HASMORE":                 {jsonType, onePage(`"hasMore"`, `"HASMORE"`)},
		"hasMore twice":           {jsonType, onePage(`"hasMore":true`, `"hasMore":true,"hasMore":false`)},
		"a cursor that is {}":     {jsonType, onePage(`"abc"`, `{}`)},
		"a cursor that is 7":      {jsonType, onePage(`"abc"`, `7`)},
		"a cursor of 9 KiB":       {jsonType, onePage(`"abc"`, `"`+strings.Repeat("a", 9<<10)+`"`)},
		"returned more":           {jsonType, onePage(`"returned":1`, `"returned":2`)},
		"returned less":           {jsonType, onePage(`"returned":1`, `"returned":0`)},
		"something behind":        {jsonType, onePage("", "") + "x"},
		"two pages":               {jsonType, onePage("", "") + onePage("", "")},
		"a prefix against theft":  {jsonType, ")]}'\n" + onePage("", "")},
		"NUL in the envelope":     {jsonType, onePage(`"meta"`, "\x00\"meta\"")},
		"bad UTF-8 in a cursor":   {jsonType, onePage(`"abc"`, "\"a\xff\"")},
		"half a pair in a cursor": {jsonType, onePage(`"abc"`, `"\ud83d"`)},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			play(t, scene{caps: listOnly, answer: func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				answered(200, c.content, c.body)(w, r)
			}}, func(w *world) {
				pages, err := w.walk(top, 5)
				wantTransient(w.t, err)
				if len(pages) > 0 || asked.Load() != 3 {
					w.t.Errorf("%d pages, asked %d times", len(pages), asked.Load())
				}
			})
		})
	}
}

// A page in an unusual form is accepted.
func TestOddPagesAreTaken(t *testing.T) {
	for name, c := range map[string]struct{ content, body string }{
		"as the API says it": {"application/json; charset=utf-8", onePage("", "")},
		"a BOM":              {jsonType, "\xef\xbb\xbf" + onePage("", "")},
		"no content type":    {"", onePage("", "")},
		"another JSON":       {"application/vnd.api+json;charset=UTF-8", onePage("", "")},
		"ASCII":              {"text/json; charset=US-ASCII", onePage("", "")},
		"blanks around":      {jsonType, "\n " + onePage("", "") + " \n"},
		"unknown fields":     {jsonType, onePage(`"meta"`, `"links":{"next":"http://evil.test"},"meta"`)},
		"a long cursor":      {jsonType, onePage(`"abc"`, `"`+strings.Repeat("a", 8<<10)+`"`)},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{caps: listOnly, answer: answered(200, c.content, c.body)}, func(w *world) {
				if page, err := w.ask(); err != nil || len(page.Events) != 1 || !page.More {
					w.t.Errorf("%d events, more %t, %v", len(page.Events), page.More, w.said(err))
				}
			})
		})
	}
}

// A page whose records cannot be told apart would be the same again: after a few times in a row, its shard fails.
func TestAPageThatCannotBeToldApartIsStuck(t *testing.T) {
	const poison = `{"data":[{"id":"1"},}],"pagination":{"hasMore":true}}`
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(poison))
	}
	play(t, scene{answer: answer, caps: listOnly}, func(w *world) {
		_, err := w.ask()
		var stuck *shard.StuckError
		if !errors.As(err, &stuck) || stuck.Limit != 5 {
			t.Errorf("%v (%#v): want a fault that fails the shard the fifth time", err, err)
		}
	})
}

// It is not known when on the way the API wrote how long the cursor lives: the time that the answer took, up to a second, counts as
// gone.
func TestACursorLivesFromWhenItWasSaid(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 500}, caps: listOnly}, func(w *world) {
		left := func() time.Duration { return time.Until(w.must(w.walk(top, 1))[0].CursorExpires) }
		quick := left()
		w.sim.Script(apisim.List, apisim.Delay(3*time.Second))
		if slow := left(); quick-slow != 4*time.Second { // three that the API has counted itself, and the one
			t.Errorf("it is taken to live for %v after a quick answer, for %v after a slow one", quick, slow)
		}
	})
}

// learnedWindow is the wait after a refusal that does not say how long: the window of a minute that every API is assumed to have,
// until the log has drained.
const learnedWindow = time.Minute

// Every way in which a 429 may say when to come back, and the many in which it does not. None of eight fetchers sends anything
// earlier.
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
		"text, in the body":     {nil, `{"rateLimit":{"retryAfter":"46"}}`, 46 * time.Second},
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

// storm lets a number of fetchers ask for a while, and returns the first error that stops one.
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

// An API that is down for minutes costs three requests an attempt, is never taken for the end of the data, and is asked no sooner
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

// A maintenance that lasts longer than a run may wait ends the run at once, and the hint says when to come back.
func TestLongMaintenanceStopsTheRun(t *testing.T) {
	play(t, scene{caps: listOnly, answer: answered(503, jsonType, ``, "Retry-After", "1000000")}, func(w *world) {
		start := time.Now()
		_, err := w.ask()
		stop := wantStop(w.t, err, shard.WaitTooLong)
		// Longer than a day is not believed.
		if back := start.Add(24 * time.Hour).Format("2006-01-02T15:"); time.Since(start) > time.Minute || !strings.Contains(stop.Hint, back) {
			w.t.Errorf("after %v: %v, %s; want %s", time.Since(start), err, stop.Hint, back)
		}
	})
}
