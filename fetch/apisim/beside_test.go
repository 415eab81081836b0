package apisim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestFilters(t *testing.T) {
	a := start(t, small())
	all := parse(t, a.walk(List, "limit", "5000"))
	session, kind := strings.Split(all[900].text, "|")[1], "purchase"
	for _, c := range []struct {
		params []string
		wanted func(r row) bool
	}{
		{[]string{"sessionId", session}, func(r row) bool { return strings.Split(r.text, "|")[1] == session }},
		{[]string{"type", kind}, func(r row) bool { return strings.Split(r.text, "|")[3] == kind }},
		{[]string{"type", "click", "sessionId", session}, func(r row) bool {
			return strings.Split(r.text, "|")[1] == session && strings.Split(r.text, "|")[3] == "click"
		}},
		{[]string{"type", "nothing"}, func(row) bool { return false }},
		{[]string{"sessionId", lowest}, func(row) bool { return false }},
		{[]string{"userId", lowest, "offset", "9", "after", "5"}, func(row) bool { return true }},
	} {
		var want []row
		for _, r := range all {
			if c.wanted(r) {
				want = append(want, r)
			}
		}
		got := parse(t, a.walk(List, append(c.params, "limit", "10")...))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v: %d rows, want %d", c.params, len(got), len(want))
		}
	}
}

func TestEventByID(t *testing.T) {
	a := start(t, small())
	want := a.Data().Event(17)
	var got struct{ Data json.RawMessage }
	r := a.do("GET", "/api/v1/events/"+want.ID.String())
	if err := json.Unmarshal(r.body, &got); err != nil || r.status != 200 {
		t.Fatal(r.status, err)
	}
	if row := parseRow(t, got.Data); row.id != want.ID.String() || row.at != want.AtMS*1000 {
		t.Errorf("%+v, want %+v", row, want)
	}
}

// post sends a body.
func (a *api) post(path, content, body string) reply {
	a.t.Helper()
	resp, err := http.Post(a.url+path+"api_key=ds_test", content, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	return reply{resp.StatusCode, resp.Header, b.Bytes(), err}
}

func TestBulk(t *testing.T) {
	for _, works := range []bool{false, true} {
		a := start(t, Config{Events: 100, BulkWorks: works})
		one, two := a.Data().Event(1).ID.String(), a.Data().Event(2).ID.String()
		if r := a.post("/api/v1/events/bulk?", "application/json", fmt.Sprintf(`{"ids":["%s"]}`, one)); r.status != 200 {
			t.Errorf("one id: %d %s", r.status, r.body)
		}
		r := a.post("/api/v1/events/bulk?", "application/json", fmt.Sprintf(`{"ids":["%s","%s","%s"]}`, one, lowest, two))
		if works != (r.status == 200) || works && !bytes.Contains(r.body, []byte(`"missing":["`+lowest+`"],"meta":{"returned":2`)) {
			t.Errorf("three ids, works %v: %d %s", works, r.status, r.body)
		}
	}
}

func TestSessions(t *testing.T) {
	a := start(t, Config{Seed: 5, Events: 10_000})
	recorded := regexp.MustCompile(`^{"id":"[0-9a-f-]{36}","userId":"([0-9a-f-]{36})","user":{"id":"([0-9a-f-]{36})","name":"[a-z]+ \d+",` +
		`"email":"user\d+@[a-z]+\.com"},"deviceType":"[a-z]+","browser":"[A-Z][a-z]+","os":"\w+","ipAddress":"\d+\.\d+\.\d+\.\d+","country":"[A-Z]{2}",` +
		`"city":"City\d+","startedAt":".{24}","endedAt":".{24}","duration":\d+,"eventCount":\d+}$`)
	events, last, n, params := 0, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), 0, ""
	for {
		e := a.read(a.do("GET", "/api/v1/sessions?limit=30"+params))
		for _, raw := range e.Data {
			var s struct {
				StartedAt  time.Time
				EventCount int
			}
			if err := json.Unmarshal(raw, &s); err != nil || !recorded.Match(raw) || s.StartedAt.After(last) {
				t.Fatalf("%v, %s after %s", err, raw, last)
			}
			events, last, n = events+s.EventCount, s.StartedAt, n+1
		}
		if !e.HasMore {
			break
		}
		params = "&cursor=" + *e.NextCursor
	}
	if events != 10_000 || n != 200 {
		t.Errorf("%d events in %d sessions", events, n)
	}
}

// TestSessionsHoldTheirEvents: every event lies within its session, whose attributes it shares.
func TestSessionsHoldTheirEvents(t *testing.T) {
	d, err := NewData(Config{Seed: 5, Events: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	v := d.At(time.Now())
	for serial := range d.Events() {
		index := d.sessionOf(serial)
		started, ended := v.sessionSpan(index)
		if e := d.Event(serial); e.AtMS < started || e.AtMS > ended || e.Session != d.session(index).id {
			t.Fatalf("event %d at %d, session %d from %d to %d", serial, e.AtMS, index, started, ended)
		}
	}
}

func TestSessionByID(t *testing.T) {
	a := start(t, Config{Events: 10_000})
	id := a.Data().Event(5000).Session.String()
	r := a.do("GET", "/api/v1/sessions/"+id)
	if !regexp.MustCompile(`^{"data":{"id":"` + id + `",.*"_count":{"events":\d+}},"meta":.*}$`).Match(r.body) {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := a.do("GET", "/api/v1/sessions/x"); r.status != 404 {
		t.Errorf("no such session: %d", r.status)
	}
}

func TestShares(t *testing.T) {
	d, err := NewData(Config{Events: 200_000})
	if err != nil {
		t.Fatal(err)
	}
	kinds, sessions := make(map[string]int), make(map[string]int)
	for serial := range d.Events() {
		e := d.Event(serial)
		kinds[e.Type]++
		sessions[e.Session.String()]++
	}
	for _, k := range types {
		if want := 200_000 * float64(k.events) / 3e6; float64(kinds[k.value]) < 0.96*want || float64(kinds[k.value]) > 1.04*want {
			t.Errorf("%s: %d, want about %.0f", k.value, kinds[k.value], want)
		}
	}
	if len(sessions) < 3950 || len(sessions) > 4000 {
		t.Errorf("%d sessions", len(sessions))
	}
}

func TestSubmissions(t *testing.T) {
	a := start(t, Config{Events: 10})
	first := a.post("/api/v1/submissions?github_repo=https://example.org/x&", "text/plain", "id1\nid2\n\nid3\n")
	if !regexp.MustCompile(`^{"success":true,"data":{"submissionId":".{36}","eventCount":3,"githubRepoUrl":"https://example.org/x","submittedAt":".{24}",` +
		`"timeToSubmit":{"ms":\d+,"seconds":\d+,"minutes":[\d.]+,"formatted":"\d+m \d+s"},"submissionNumber":1,"remainingSubmissions":4},` +
		`"message":"Submission #1 received with 3 event IDs. 4 submissions remaining."}$`).Match(first.body) {
		t.Errorf("%d %s", first.status, first.body)
	}
	for i, want := range []int{200, 200, 200, 200, 403} {
		if r := a.post("/api/v1/submissions?", "application/json", `{"ids":"a\nb","githubRepoUrl":"https://example.org/x"}`); r.status != want {
			t.Errorf("submission %d: %d %s", i+2, r.status, r.body)
		}
	}
	if r := a.post("/api/v1/submissions?", "application/json", `{}`); r.status != 400 {
		t.Errorf("nothing: %d", r.status)
	}
	if r := a.do("GET", "/api/v1/submissions"); bytes.Count(r.body, []byte(`"submissionId"`)) != 5 {
		t.Errorf("%s", r.body)
	}
	if got := thousands(3_000_000); got != "3,000,000" {
		t.Error(got)
	}
}

func TestCounts(t *testing.T) {
	a := start(t, Config{Events: 1000, List: Limit{Requests: 2, Window: time.Hour}, CacheLife: time.Hour})
	for range 3 {
		a.page(List, "limit", "10")
	}
	a.page(Feed, "limit", "7")
	a.Script(Feed, Drop())
	a.page(Feed)
	list, feed, access := a.Counts(List), a.Counts(Feed), a.Counts(Access)
	if list.Requests != 3 || list.OK != 2 || list.Limited != 1 || list.Hits != 1 || list.Events != 20 || list.Peak != 3 || list.First.IsZero() {
		t.Errorf("list %+v", list)
	}
	if feed.Requests != 2 || feed.OK != 1 || feed.Failed != 1 || feed.Events != 7 || access.OK != 1 {
		t.Errorf("feed %+v, access %+v", feed, access)
	}
	log := a.Requests()
	if len(log) != 6 || log[1].Cache != "HIT" || log[2].Status != 429 || log[4].Query != "limit=7" || log[5].Fault != "drop" || log[5].Status != 0 {
		t.Errorf("%+v", log)
	}
}

// TestJournalIsBounded: the particulars of the oldest requests are forgotten, their counts are not.
func TestJournalIsBounded(t *testing.T) {
	s, err := New(Config{Events: 10})
	if err != nil {
		t.Fatal(err)
	}
	for range maxRequests + 10 {
		s.journal.begin(List, time.Now(), 0)
		s.journal.end(Request{Endpoint: List, Status: 200, Bytes: int(s.Counts(List).Requests)})
	}
	log := s.Requests()
	if len(log) != maxRequests || log[0].Bytes != 11 || log[len(log)-1].Bytes != maxRequests+10 || s.Counts(List).OK != maxRequests+10 {
		t.Errorf("%d requests from %d to %d, %+v", len(log), log[0].Bytes, log[len(log)-1].Bytes, s.Counts(List))
	}
}

// TestTheCacheIsNamedBesideThePages: sessions and metrics say, as pages do, that they are no old answers.
func TestTheCacheIsNamedBesideThePages(t *testing.T) {
	s, err := New(Config{Events: 10, CacheLife: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/v1/sessions", "/api/v1/metrics"} {
		if w := ask(s, "GET", path); header(w, "X-Cache") != "MISS" || header(w, "X-Cache-TTL") != "30" {
			t.Errorf("%s: X-Cache %q, X-Cache-TTL %q", path, header(w, "X-Cache"), header(w, "X-Cache-TTL"))
		}
	}
}
