package apisim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestScriptedFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault  Fault
		status int    // 0: no answer
		body   string // that is in the body
		cut    bool   // in the middle
	}{
		"502":            {Status(502), 502, "502 Bad Gateway", false},
		"500":            {Status(500), 500, `"code":"INTERNAL_ERROR"`, false},
		"404":            {Status(404), 404, `{"error":"Not Found"`, false},
		"answer":         {Answer(403, "text/plain", "no"), 403, "no", false},
		"html":           {HTML(), 200, "<html>", false},
		"limited":        {Limited(90 * time.Second), 429, `"retryAfter":90`, false},
		"drop":           {Drop(), 0, "", false},
		"cut":            {CutBody(0.5), 200, `{"data":[{"id":`, true},
		"cut at once":    {CutBody(0), 200, "", true},
		"truncated":      {Truncated(0.5), 200, `{"data":[{"id":`, false},
		"null":           {NullBody(), 200, "null", false},
		"early end":      {EarlyEnd(), 200, `"hasMore":false,"nextCursor":null,"cursorExpiresIn":null`, false},
		"expired cursor": {ExpiredCursor(), 400, "CURSOR_EXPIRED", false},
		"late":           {Fault{status: 503, delay: time.Millisecond}, 503, "503", false},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, Config{Events: 500})
			a.Script(Feed, c.fault)
			r := a.page(Feed, "limit", "100")
			if (r.status == 0) != (r.err != nil && !c.cut) || r.status != c.status || !strings.Contains(string(r.body), c.body) {
				t.Errorf("%d %.200s, %v", r.status, r.body, r.err)
			}
			if cut := errors.Is(r.err, io.ErrUnexpectedEOF); cut != c.cut {
				t.Errorf("cut %v, %v", cut, r.err)
			}
			if p := a.read(a.page(Feed, "limit", "100")); len(p.Data) != 100 || !p.HasMore {
				t.Errorf("afterwards: %d records, more %v", len(p.Data), p.HasMore)
			}
		})
	}
}

func TestScriptIsTakenInOrder(t *testing.T) {
	a := start(t, Config{Events: 500})
	a.Script(List, Status(502), Status(502))
	a.Script(List, Behave(), Status(503))
	a.Control(List, func(r *http.Request) Fault {
		if r.URL.Query().Get("limit") == "7" {
			return Status(504)
		}
		return Behave()
	})
	var got []int
	for _, limit := range []string{"1", "7", "7", "7", "7", "8"} {
		got = append(got, a.page(List, "limit", limit).status)
	}
	if want := "[502 502 200 503 504 200]"; fmt.Sprint(got) != want || len(a.script.queued[List]) != 0 {
		t.Errorf("%v, want %s; %d left", got, want, len(a.script.queued[List]))
	}
}

func TestRevokedToken(t *testing.T) {
	a := start(t, Config{Events: 500})
	a.Script(Feed, Behave(), RevokedToken())
	for i, want := range []int{200, 403, 403} {
		if r := a.page(Feed); r.status != want {
			t.Errorf("request %d: %d %s", i, r.status, r.body)
		}
	}
	a.token = a.access()
	if r := a.page(Feed); r.status != 200 {
		t.Errorf("with a new token: %d", r.status)
	}
	a.RevokeTokens()
	if r := a.page(Feed); r.status != 403 || !bytes.Contains(r.body, []byte("INVALID_STREAM_TOKEN")) {
		t.Errorf("after all were revoked: %d %s", r.status, r.body)
	}
}

func TestDuplicates(t *testing.T) {
	a := start(t, small())
	a.Script(List, Duplicates(3))
	whole := parse(t, a.walk(List, "limit", "10"))
	ids := make(map[string]int)
	for _, r := range whole[:10] {
		ids[r.id]++
	}
	if len(ids) != 7 || whole[0] != whole[1] || whole[4] != whole[5] || whole[6] == whole[7] {
		t.Errorf("%d different events in the first page", len(ids))
	}
	if got, want := sum(whole, Past, Future), a.Data().Truth(Past, Future); got != want || int64(len(whole)) != want.Rows+3 {
		t.Errorf("%v in %d rows, want %v", got, len(whole), want)
	}
}

// TestContentFaultsAreCached: the cache repeats a bad page, a transport fault is over with its request.
func TestContentFaultsAreCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Events: 500, CacheLife: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		expect := func(query, body, cached string) {
			t.Helper()
			w := ask(s, "GET", "/api/v1/events?"+query)
			if got := header(w, "X-Cache"); got != cached || !strings.Contains(w.Body.String(), body) {
				t.Errorf("%s: %d %s, %.100s", query, w.Code, got, w.Body)
			}
		}
		s.Script(List, NullBody())
		expect("limit=9&a=b", "null", "MISS")
		expect("a=b&limit=9&api_key=x", "null", "HIT")
		expect("limit=8", `"hasMore":true`, "MISS")
		time.Sleep(30 * time.Second)
		expect("limit=9&a=b", `"hasMore":true`, "MISS")
		s.Script(List, EarlyEnd())
		expect("limit=9&a=b", `"hasMore":false`, "MISS") // a script goes past the cache
		expect("limit=9&a=b", `"hasMore":false`, "HIT")
		s.Script(List, Status(500), Status(502))
		expect("limit=7", "INTERNAL_ERROR", "")
		expect("limit=7", "502", "")
		expect("limit=7", `"hasMore":true`, "MISS")
	})
}

func TestHitRepeatsTheWholeAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Events: 500, CacheLife: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		first := ask(s, "GET", "/api/v1/events")
		time.Sleep(10 * time.Second)
		second := ask(s, "GET", "/api/v1/events")
		if !bytes.Equal(first.Body.Bytes(), second.Body.Bytes()) || header(second, "X-Cache-TTL") != "30" {
			t.Error("a HIT differs from its MISS")
		}
		if w := ask(s, "HEAD", "/api/v1/events"); header(w, "X-Cache") != "" || w.Body.Len() != 0 || w.Code != 200 {
			t.Errorf("HEAD: %d, %q", w.Code, header(w, "X-Cache"))
		}
	})
}

// TestDrawnFaults: each comes with about its share, a run repeats, and retrying reads everything.
func TestDrawnFaults(t *testing.T) {
	faults := Faults{ServerError: 0.1, CutBody: 0.1, Truncated: 0.1, NullBody: 0.1, EarlyEnd: 0.1, Duplicate: 0.1,
		ExpiredCursor: 0.1, Slow: 0.1, SlowBy: time.Nanosecond}
	first, second := faultsOf(t, faults, 3000), faultsOf(t, faults, 3000)
	if fmt.Sprint(first) != fmt.Sprint(second) {
		t.Errorf("%v, then %v", first, second)
	}
	for _, name := range []string{"cut body", "truncated", "null body", "early end", "duplicates", "expired cursor", "delay"} {
		if n := first[name]; n < 240 || n > 360 {
			t.Errorf("%s: %d of 3000, want about 300", name, n)
		}
	}
	if n := first["status 500"] + first["status 502"] + first["status 503"] + first["status 504"]; n < 240 || n > 360 || first["status 503"] == 0 {
		t.Errorf("server errors: %d of 3000, want about 300", n)
	}
}

func faultsOf(t *testing.T, faults Faults, requests int) map[string]int {
	t.Helper()
	names := make(map[string]int)
	for n := range requests {
		f := faults.draw(draw(5, int64(n)), Feed, true)
		names[f.name]++
	}
	return names
}

// TestDrawnFaultsHappen reads the whole set through faults of every kind, trying each page again until it is sound.
func TestDrawnFaultsHappen(t *testing.T) {
	c := small()
	c.Faults = Faults{ServerError: 0.1, CutBody: 0.1, Truncated: 0.1, NullBody: 0.1, Duplicate: 0.1, RevokedToken: 0.1}
	a := start(t, c)
	var records []json.RawMessage
	params := []string{"limit", "100"}
	for {
		r := a.page(Feed, params...)
		if r.status == 403 {
			a.token = a.access()
		}
		var e envelope
		if r.status != 200 || r.err != nil || json.Unmarshal(r.body, &e) != nil || e.Pagination == nil {
			continue
		}
		records = append(records, e.Data...)
		if !e.Pagination.HasMore {
			break
		}
		params = append(params, "cursor", *e.Pagination.NextCursor)
	}
	if got, want := sum(parse(t, records), Past, Future), a.Data().Truth(Past, Future); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if counts := a.Counts(Feed); counts.Failed == 0 || counts.Requests <= 60 {
		t.Errorf("%+v", counts)
	}
}
