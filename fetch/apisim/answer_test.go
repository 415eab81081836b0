package apisim

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const notFound = `{"error":"Not Found","message":"The requested endpoint does not exist","code":"ENDPOINT_NOT_FOUND"}`

func TestAnswers(t *testing.T) {
	a := start(t, Config{Events: 100, Key: "ds_test"})
	for _, c := range []struct {
		method, path string
		header       []string
		status       int
		body         string // a regular expression of the whole
	}{
		{"GET", "/api/v1", nil, 200, `{"name":"DataSync Analytics API","version":"v1","endpoints":{"events":"/api/v1/events","sessions":"/api/v1/sessions",` +
			`"metrics":"/api/v1/metrics"},"authentication":{"method":"API Key","header":"X-API-Key"}}`},
		{"GET", "/api/v1/metrics", nil, 200, `{"data":\[\],"pagination":{"limit":100,"hasMore":false,"nextCursor":null,"cursorExpiresIn":null},` +
			`"meta":{"total":0,"returned":0,"requestId":"[0-9a-f-]{36}"}}`},
		{"GET", "/health", nil, 200, `OK`},
		{"GET", "/internal/health", nil, 200, `{"status":"healthy",.*}`},
		{"GET", "/internal/stats", nil, 200, `{"counts":{"users":2,"sessions":43,"events":100,"metrics":0},"distributions":{"eventTypes":\[{"type":"page_view","count":\d+},.*` +
			`"deviceTypes":\[{"type":"mobile","count":\d+},.*\]},"meta":{"generatedAt":".{24}"},"cache":{"status":"MISS",.*}}`},
		{"GET", "/internal/stats", []string{"X-API-Key", ""}, 401, `{"error":"Unauthorized","message":".+","code":"API_KEY_REQUIRED"}`},
		{"GET", "/api/v1/events", []string{"X-API-Key", ""}, 401, `{"error":"Unauthorized","message":".+","code":"API_KEY_REQUIRED"}`},
		{"GET", "/api/v1/events", []string{"X-API-Key", "ds_other"}, 401, `{"error":"Unauthorized","message":".+","code":"INVALID_API_KEY"}`},
		{"GET", "/api/v1/events/export", nil, 404, `{"error":"Not Found","message":"Event with id 'export' not found","code":"EVENT_NOT_FOUND"}`},
		{"GET", "/api/v1/nothing", nil, 404, notFound},
		{"GET", "/api/v2/events", nil, 404, notFound},
		{"DELETE", "/api/v1/events", nil, 404, notFound},
		{"POST", "/api/v1/events/bulk", nil, 400, `{"error":"Bad Request","message":"Request body must contain an \\"ids\\" array","code":"INVALID_BODY"}`},
		{"GET", feedPath, nil, 403, `{"error":"Forbidden","message":"Invalid or expired stream token","code":"INVALID_STREAM_TOKEN"}`},
		{"POST", "/internal/dashboard/stream-access", []string{"User-Agent", "curl/8"}, 403,
			`{"error":"Forbidden","message":"This endpoint requires dashboard access","code":"DASHBOARD_REQUIRED"}`},
		{"POST", "/internal/dashboard/stream-access", nil, 200, `{"streamAccess":{"endpoint":"` + feedPath + `","token":"[0-9a-f]{64}","expiresIn":300,` +
			`"tokenHeader":"X-Stream-Token"},"meta":{"generatedAt":".{24}","note":"Token is required in X-Stream-Token header when accessing the stream endpoint"}}`},
		{"OPTIONS", "/api/v1/events", nil, 504, `(?s)<html>.*504 Gateway Time.*`},
		{"GET", "/openapi.json", nil, 200, `<!doctype html>.*`},
	} {
		r := a.do(c.method, c.path, c.header...)
		if whole := regexp.MustCompile("^" + c.body + "$"); r.status != c.status || !whole.Match(r.body) {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.status, r.body)
		}
	}
}

// TestPageHeaders compares with the recorded head of a page (api.md, section 9).
func TestPageHeaders(t *testing.T) {
	c, err := Profile(Challenge)
	if err != nil {
		t.Fatal(err)
	}
	c.Events, c.Latency = 1000, Latency{}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	w := ask(s, "GET", "/api/v1/events?limit=10")
	want := []string{"Access-Control-Allow-Origin", "Connection", "Content-Length", "Content-Type", "ETag", "X-Cache", "X-Cache-TTL",
		"X-Powered-By", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID"}
	if got := names(w); !slices.Equal(got, want) {
		t.Errorf("headers %q, want %q", got, want)
	}
	var body struct{ Meta struct{ RequestID string } }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || header(w, "X-Request-ID") != body.Meta.RequestID {
		t.Errorf("request id %s, %q, %v", header(w, "X-Request-ID"), body.Meta.RequestID, err)
	}
	if tag := header(w, "ETag"); !regexp.MustCompile(`^W/"` + strconv.FormatInt(int64(w.Body.Len()), 16) + `-[0-9A-Za-z+/]{27}"$`).MatchString(tag) {
		t.Errorf("ETag %s for %d bytes", tag, w.Body.Len())
	}
	feed := httptest.NewRequest("GET", feedPath, nil)
	feed.Header.Set("X-API-Key", "ds_test")
	feed.Header.Set(tokenHeader, s.tokens.issue(time.Now()))
	w = httptest.NewRecorder()
	s.ServeHTTP(w, feed)
	for _, name := range names(w) {
		if strings.HasPrefix(name, "X-RateLimit") {
			t.Errorf("the feed tells its limit: %s", name)
		}
	}
	if header(w, "X-Chaos-Applied") != "missingFields" || w.Code != 200 {
		t.Errorf("the feed: %d %v", w.Code, w.Header())
	}
}

func names(w *httptest.ResponseRecorder) (names []string) {
	for name := range w.Header() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestPagesLookLikeRecordedOnes compares the shape of pages with recorded ones, which are not part of the project.
func TestPagesLookLikeRecordedOnes(t *testing.T) {
	a := start(t, Config{Seed: 1})
	for file, c := range map[string]struct {
		endpoint Endpoint
		limit    string
	}{
		"list-page-100": {List, "100"}, "list-page-5000": {List, "100000"}, "stream-page-5000": {Feed, "5000"},
	} {
		recorded, err := os.ReadFile("../../../shared/fixtures/recorded-" + file + ".json")
		if err != nil {
			t.Skip("the recorded answers are not here")
		}
		body := a.page(c.endpoint, "limit", c.limit).body
		if got, want := shape(t, body), shape(t, recorded); got != want {
			t.Errorf("%s: %s", file, firstDifference(got, want))
		}
		if off := float64(len(body))/float64(len(recorded)) - 1; off < -0.005 || off > 0.005 {
			t.Errorf("%s: %d bytes, recorded %d", file, len(body), len(recorded))
		}
	}
}

// shape writes the names and the kinds of values of a JSON text, in the order of the wire. Strings are distinguished by what
// they look like, as far as their form is fixed.
func shape(t *testing.T, body []byte) string {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var b strings.Builder
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		switch v := token.(type) {
		case json.Number:
			fmt.Fprintf(&b, "number(%d) ", len(v)/4)
		case string:
			b.WriteString(look(v) + " ")
		default:
			fmt.Fprintf(&b, "%v ", v)
		}
	}
}

var looks = []struct {
	name    string
	pattern *regexp.Regexp
}{
	{"uuid", regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)},
	{"name", regexp.MustCompile(`^event_[0-9a-z]{6}$`)},
	{"time", regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)},
	{"cursor", regexp.MustCompile(`^[0-9A-Za-z]{120}$`)},
	{"type", regexp.MustCompile(`^(page_view|click|api_call|form_submit|scroll|purchase|error|video_play)$`)},
	{"device", regexp.MustCompile(`^(mobile|tablet|desktop)$`)},
	{"browser", regexp.MustCompile(`^(Chrome|Firefox|Safari|Edge)$`)},
}

func look(s string) string {
	for _, l := range looks {
		if l.pattern.MatchString(s) {
			return l.name
		}
	}
	return s
}

func firstDifference(got, want string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			from := max(0, i-60)
			return fmt.Sprintf("…%s, want …%s", got[from:min(len(got), i+60)], want[from:min(len(want), i+60)])
		}
	}
	return fmt.Sprintf("%d, want %d characters", len(got), len(want))
}

func TestFlatAndGzip(t *testing.T) {
	c := small()
	c.Flat, c.Gzip = true, true
	a := start(t, c)
	r := a.page(List, "limit", "4")
	if !regexp.MustCompile(`^{"data":\[.*\],"hasMore":true,"nextCursor":"[0-9A-Za-z]{120}"}$`).Match(r.body) {
		t.Errorf("%s", r.body)
	}
	rows := parse(t, a.walk(List, "limit", "500"))
	if got, want := sum(rows, Past, Future), a.Data().Truth(Past, Future); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	packed := a.do("GET", "/api/v1/events?limit=4", "Accept-Encoding", "gzip")
	unpacker, err := gzip.NewReader(bytes.NewReader(packed.body))
	if err != nil || packed.header.Get("Content-Encoding") != "gzip" {
		t.Fatal(err, packed.header)
	}
	if plain, err := io.ReadAll(unpacker); err != nil || !strings.HasPrefix(string(plain), string(r.body[:200])) {
		t.Errorf("%v, %.300s", err, plain)
	}
}

func TestLimitParameter(t *testing.T) {
	for _, c := range []struct {
		pageCap     int
		endpoint    Endpoint
		limit       string
		echo, count int
	}{
		{0, List, "", 100, 100}, {0, Feed, "", 25, 25}, {0, List, "100000", 5000, 5000}, {0, Feed, "7", 7, 7}, {0, List, "0", 100, 100},
		{0, List, "-3", 100, 100}, {0, List, "many", 100, 100}, {137, List, "5000", 137, 137}, {20, List, "", 20, 20},
		{100000, List, "100000", 100000, 6000},
	} {
		config := small()
		config.PageCap = c.pageCap
		a := start(t, config)
		p := a.read(a.page(c.endpoint, "limit", c.limit))
		if len(p.Data) != c.count || p.Pagination.Limit != c.echo || p.Meta.Total != 6000 {
			t.Errorf("%+v: %d records, limit %d, total %d", c, len(p.Data), p.Pagination.Limit, p.Meta.Total)
		}
	}
}

func TestTotalError(t *testing.T) {
	a := start(t, Config{Events: 100, TotalError: 3})
	if p := a.read(a.page(Feed)); p.Meta.Total != 103 {
		t.Errorf("total %d", p.Meta.Total)
	}
}

// TestTimestampForms: the form follows the place in the list's page; at the feed all are numbers.
func TestTimestampForms(t *testing.T) {
	a := start(t, small())
	for _, e := range []Endpoint{List, Feed} {
		for _, limit := range []string{"10", "11"} {
			first := a.read(a.page(e, "limit", limit))
			second := a.read(a.page(e, "limit", limit, "cursor", *first.NextCursor))
			for _, p := range []envelope{first, second} {
				for place, raw := range p.Data {
					number := !bytes.Contains(raw, []byte(`"timestamp":"`))
					if number != (e == Feed || place%3 == 0) {
						t.Errorf("%s, place %d: %s", e, place, raw)
					}
				}
			}
		}
	}
}

func TestGates(t *testing.T) {
	for gate, header := range map[Gate][]string{
		GateBrowser: {"User-Agent", "Mozilla/5.0"}, GateOrigin: {"Origin", "http://x"}, GateCookie: {"Cookie", "dashboard_api_key=k"},
	} {
		a := start(t, Config{Events: 10, Gate: gate})
		without := a.do("POST", "/internal/dashboard/stream-access", header[0], "")
		if with := a.do("POST", "/internal/dashboard/stream-access", header...); with.status != 200 || without.status != 403 {
			t.Errorf("%s: %d with, %d without", gate, with.status, without.status)
		}
	}
	if r := start(t, Config{Events: 10, Gate: GateShut}).do("POST", "/internal/dashboard/stream-access"); r.status != 403 {
		t.Errorf("shut: %d", r.status)
	}
}

func TestTokensLiveOnBesideNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := tokens{life: 300 * time.Second, expires: map[string]time.Time{}}
		first := tokens.issue(time.Now())
		time.Sleep(200 * time.Second)
		second := tokens.issue(time.Now())
		for i, want := range []bool{true, false} {
			if got := tokens.good(first, time.Now()); got != want || !tokens.good(second, time.Now()) {
				t.Errorf("step %d: the first token is good: %v", i, got)
			}
			time.Sleep(100 * time.Second)
		}
	})
}

func TestKeyLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Events: 10, KeyLife: 90 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		ask(s, "GET", "/api/v1")
		time.Sleep(89 * time.Minute)
		if w := ask(s, "GET", "/api/v1/events"); w.Code != 200 {
			t.Errorf("89 minutes after the first use: %d", w.Code)
		}
		time.Sleep(time.Minute)
		if w := ask(s, "GET", "/api/v1/events"); w.Code != 401 || !strings.Contains(w.Body.String(), "API_KEY_EXPIRED") {
			t.Errorf("90 minutes after the first use: %d %s", w.Code, w.Body)
		}
	})
}

func TestKeyRevokedAfter(t *testing.T) {
	a := start(t, Config{Events: 10, KeyRevokedAfter: 2})
	for i, want := range []int{200, 200, 401, 401} {
		if r := a.page(List); r.status != want {
			t.Errorf("request %d: %d", i, r.status)
		}
	}
}

// TestLatency: a page takes its time whatever its size, a refusal and a HIT none to speak of; the cursor's life begins before.
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Profile(Challenge)
		if err != nil {
			t.Fatal(err)
		}
		c.Events = 20_000
		s, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		took := func(path string) (time.Duration, *httptest.ResponseRecorder) {
			began := time.Now()
			w := ask(s, "GET", path)
			return time.Since(began), w
		}
		for _, limit := range []string{"10", "100", "5000"} {
			d, w := took("/api/v1/events?limit=" + limit)
			if d < 3*time.Second || d > 3700*time.Millisecond {
				t.Errorf("limit %s took %s", limit, d)
			}
			var e envelope
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || *e.Pagination.CursorExpiresIn != 116 {
				t.Errorf("limit %s: %v, %v", limit, e.Pagination, err)
			}
		}
		if d, w := took("/api/v1/events?limit=10"); d > 100*time.Millisecond || header(w, "X-Cache") != "HIT" {
			t.Errorf("a HIT took %s", d)
		}
		for range 6 {
			ask(s, "GET", "/api/v1/events/x")
		}
		if d, w := took("/api/v1/events?limit=11"); d != 0 || w.Code != 429 {
			t.Errorf("a %d took %s", w.Code, d)
		}
	})
}

func TestCeiling(t *testing.T) {
	var c ceiling
	now := time.Unix(0, 0)
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		if got := c.wait(5000, 5000, now); got != want {
			t.Errorf("wait %s, want %s", got, want)
		}
	}
	if got := c.wait(5000, 5000, now.Add(time.Minute)); got != time.Second {
		t.Errorf("wait %s after a pause", got)
	}
}

func TestDemoIsTenTimesFaster(t *testing.T) {
	challenge, err1 := Profile(Challenge)
	demo, err2 := Profile(Demo)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if demo.List.Window*10 != challenge.List.Window || demo.Feed.Requests != 50 || demo.CursorLife != challenge.CursorLife || demo.TokenLife != challenge.TokenLife ||
		demo.Latency.Scale*10 != challenge.Latency.Scale || demo.Source() != challenge.Source() {
		t.Errorf("%+v", demo)
	}
	if _, err := Profile("fast"); err == nil {
		t.Error("an unknown profile is taken")
	}
}

func TestConfigFaultsAreAllTold(t *testing.T) {
	_, err := New(Config{Events: -5, SkewShare: 1.5, Gate: "open", List: Limit{Requests: 3}, Faults: Faults{CutBody: -1},
		Ties: []Tie{{5, day(30)}}})
	for _, word := range []string{"Events: -5", "SkewShare: 1.5", `Gate: "open"`, "List: 3", "Faults.CutBody: -1", "Ties: 5 events"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in: %v", word, err)
		}
	}
}
