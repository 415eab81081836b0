package apisim

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// ask puts a request to the handler without a connection, so that it can be done in virtual time.
func ask(s *Server, method, path string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, nil)
	r.Header.Set("X-API-Key", "ds_test")
	s.ServeHTTP(w, r)
	return w
}

// header returns a header by its spelling on the wire, which is not Go's.
func header(w *httptest.ResponseRecorder, name string) string {
	if v := w.Header()[name]; len(v) == 1 {
		return v[0]
	}
	return ""
}

func listLimit(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	c := Config{Events: 100, List: Limit{Requests: 10, Window: time.Minute}}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRejectedRequestsKeepTheLockoutAlive replays what red64 logged (api.md, 4.2): ten pages of about three seconds each,
// then sleeping exactly as long as each 429 says, which is 29 s and then, again and again, the gap to the next entry.
func TestRejectedRequestsKeepTheLockoutAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listLimit(t, nil)
		for range 10 {
			if w := ask(s, "GET", "/api/v1/events"); w.Code != 200 {
				t.Fatalf("status %d within the limit", w.Code)
			}
			time.Sleep(3100 * time.Millisecond)
		}
		var waits []int
		for range 12 {
			w := ask(s, "GET", "/api/v1/events")
			if w.Code != 429 {
				t.Fatalf("status %d after the waits %v", w.Code, waits)
			}
			wait, err := strconv.Atoi(header(w, "Retry-After"))
			if err != nil {
				t.Fatal(err)
			}
			waits = append(waits, wait)
			time.Sleep(time.Duration(wait) * time.Second)
		}
		// The recorded waits are 29, 3, 3, 3, 2, 3, 3, 3, 3, 2, 3, 29: nine gaps that add up to 28 s, around rejected requests.
		if waits[0] != 29 || slices.Max(waits[1:10]) > 4 || slices.Min(waits[1:10]) < 2 || !slices.Contains(waits[10:], 29) {
			t.Errorf("waits %v", waits)
		}
		time.Sleep(time.Minute)
		if w := ask(s, "GET", "/api/v1/events"); w.Code != 200 {
			t.Errorf("status %d after a silence as long as the window", w.Code)
		}
	})
}

func TestAlgorithms(t *testing.T) {
	for _, c := range []struct {
		algorithm Algorithm
		// A request at 0, 30, 30, then rejected ones at 40 and 50, then one at 60 and one at 75 s; the limit is 3.
		allowed string
	}{
		{SlidingAll, "yyynnnn"}, {SlidingAccepted, "yyynnyn"}, {FixedWindow, "yyynnyy"},
	} {
		b, got := bucket{algorithm: c.algorithm, window: time.Minute}, ""
		for _, at := range []int{0, 30, 30, 40, 50, 60, 75} {
			letter := map[bool]string{true: "y", false: "n"}
			got += letter[b.take(3, time.Unix(int64(at), 0)).allowed]
		}
		if got != c.allowed {
			t.Errorf("%s: %s, want %s", c.algorithm, got, c.allowed)
		}
	}
}

// TestLimitHeaders repeats a recorded sample: four requests at once, two after 26 s, three after 40 s.
func TestLimitHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listLimit(t, nil)
		expect := func(method, path, remaining, reset string) {
			t.Helper()
			w := ask(s, method, path)
			got := fmt.Sprint(header(w, "X-RateLimit-Limit"), header(w, "X-RateLimit-Remaining"), header(w, "X-RateLimit-Reset"))
			if want := fmt.Sprint("10", remaining, reset); got != want {
				t.Errorf("%s %s: %s, want %s", method, path, got, want)
			}
		}
		for _, remaining := range []string{"9", "8", "7", "6"} {
			expect("GET", "/api/v1/events", remaining, "60")
		}
		time.Sleep(26 * time.Second)
		expect("HEAD", "/api/v1/events", "5", "34")
		expect("GET", "/api/v1/events?limit=10000", "4", "34")
		time.Sleep(14 * time.Second)
		for _, remaining := range []string{"3", "2", "1", "0"} {
			expect("GET", "/api/v1/events/export", remaining, "20")
		}
		if w := ask(s, "GET", "/api/v1/nothing"); header(w, "X-RateLimit-Limit") != "" || w.Code != 404 {
			t.Errorf("an unknown path: %d with limit headers %q", w.Code, header(w, "X-RateLimit-Limit"))
		}
		if w := ask(s, "HEAD", "/api/v1/events"); w.Code != 429 {
			t.Errorf("HEAD beyond the limit: %d", w.Code)
		}
	})
}

func TestRefusalBody(t *testing.T) {
	const recorded = `{"error":"Too Many Requests","message":"Rate limit exceeded. Try again in 46 seconds.",` +
		`"code":"RATE_LIMIT_EXCEEDED","rateLimit":{"limit":10,"remaining":0,"reset":46,"retryAfter":46}}`
	for _, c := range []struct {
		how          RetryAfter
		header, body string
	}{
		{RetryBoth, "46", recorded}, {RetryHeader, "46", recorded[:len(recorded)-len(`,"retryAfter":46}}`)] + "}}"},
		{RetryBody, "", recorded}, {RetryNone, "", recorded[:len(recorded)-len(`,"retryAfter":46}}`)] + "}}"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := listLimit(t, func(config *Config) { config.RetryAfter = c.how })
			for range 10 {
				ask(s, "GET", "/api/v1/events")
			}
			time.Sleep(14 * time.Second)
			w := ask(s, "GET", "/api/v1/events")
			if w.Code != 429 || w.Body.String() != c.body || header(w, "Retry-After") != c.header || header(w, "X-Cache") != "" {
				t.Errorf("%s: %d, %q, %s", c.how, w.Code, header(w, "Retry-After"), w.Body)
			}
		})
	}
}

func TestRetryAfterAsDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listLimit(t, func(c *Config) { c.RetryAfter, c.List.Requests = RetryDate, 1 })
		ask(s, "GET", "/api/v1/events")
		when, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", header(ask(s, "GET", "/api/v1/events"), "Retry-After"))
		if err != nil || time.Until(when) != time.Minute {
			t.Errorf("come back at %v, %v", when, err)
		}
	})
}

func TestBucketsOfEndpoints(t *testing.T) {
	limit := Limit{Requests: 1, Window: time.Hour}
	for name, c := range map[string]struct {
		change func(*Config)
		paths  []string
		want   []int
	}{
		"own buckets": {func(*Config) {}, []string{"events", "sessions", "metrics", "events", "sessions", "metrics"},
			[]int{200, 200, 200, 429, 429, 429}},
		"a single event spends from the list":      {func(*Config) {}, []string{"events/x", "events"}, []int{404, 429}},
		"the feed has its own":                     {func(*Config) {}, []string{"events", "events/d4ta/x7k9/feed"}, []int{200, 403}},
		"the feed shares":                          {func(c *Config) { c.FeedShared = true }, []string{"events", "events/d4ta/x7k9/feed"}, []int{200, 429}},
		"no limit":                                 {func(c *Config) { c.List = Limit{} }, []string{"events", "events"}, []int{200, 200}},
		"a key in the URL shares":                  {func(c *Config) { c.List.Requests, c.QueryLimit = 3, 1 }, []string{"events", "events?api_key=ds_test"}, []int{200, 429}},
		"a key in the URL, within its lower limit": {func(c *Config) { c.List.Requests, c.QueryLimit = 3, 2 }, []string{"events", "events?apiKey=ds_test"}, []int{200, 200}},
		"a key in the URL has its own":             {func(c *Config) { c.QuerySeparate = true }, []string{"events", "events?api_key=ds_test"}, []int{200, 200}},
		"hits from the cache count":                {func(c *Config) { c.CacheLife = time.Hour }, []string{"events", "events"}, []int{200, 429}},
		"hits from the cache are free":             {func(c *Config) { c.CacheLife, c.FreeHits = time.Hour, true }, []string{"events", "events"}, []int{200, 200}},
	} {
		t.Run(name, func(t *testing.T) {
			config := Config{Events: 100, List: limit, Feed: limit, Sessions: limit, Metrics: limit}
			c.change(&config)
			s, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			for i, path := range c.paths {
				w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/api/v1/"+path, nil)
				if !r.URL.Query().Has("api_key") && !r.URL.Query().Has("apiKey") {
					r.Header.Set("X-API-Key", "ds_test")
				}
				if s.ServeHTTP(w, r); w.Code != c.want[i] {
					t.Errorf("%s: %d, want %d: %s", path, w.Code, c.want[i], w.Body)
				}
			}
		})
	}
}

// TestHammeringForgetsTheOldest: the log of a client that never pauses stays bounded, and the client stays out.
func TestHammeringForgetsTheOldest(t *testing.T) {
	b := bucket{algorithm: SlidingAll, window: time.Minute}
	now := time.Unix(0, 0)
	for i := range 3 * maxLogged {
		now = now.Add(time.Millisecond)
		if v := b.take(10, now); v.allowed != (i < 10) || v.remaining != max(0, 9-i) {
			t.Fatalf("request %d: %+v", i, v)
		}
	}
	if len(b.log) > maxLogged+1 {
		t.Errorf("%d entries", len(b.log))
	}
}

// TestADeadTokenMayCostNothing: whether a request with a dead token counts is disputed, and a setting.
func TestADeadTokenMayCostNothing(t *testing.T) {
	for free, want := range map[bool][]int{false: {403, 403, 429}, true: {403, 403, 403}} {
		s, err := New(Config{Events: 10, Feed: Limit{Requests: 2, Window: time.Minute}, DeadTokenFree: free})
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for range want {
			got = append(got, ask(s, "GET", feedPath).Code)
		}
		if !slices.Equal(got, want) {
			t.Errorf("free %v: %d, want %d", free, got, want)
		}
	}
}
