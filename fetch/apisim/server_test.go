package apisim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// api is a simulator on a port of this machine, and a plain client of it, which shares nothing with the one that Sluice has.
type api struct {
	*Server
	t      *testing.T
	client http.RoundTripper
	url    string
	token  string
}

func start(t *testing.T, c Config) *api {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	// On a connection that was used before, net/http repeats a request that got no answer, without a word.
	return &api{Server: s, t: t, url: server.URL, client: &http.Transport{DisableKeepAlives: true}}
}

// near is start without a port, for tests in virtual time.
func near(t *testing.T, c Config) *api {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &api{Server: s, t: t, client: direct{s}}
}

// direct hands requests on without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error // of the connection or of the body
}

// envelope is what surrounds the records, in both shapes.
type envelope struct {
	Data       []json.RawMessage
	HasMore    bool
	NextCursor *string
	Pagination *struct {
		Limit           int
		HasMore         bool
		NextCursor      *string
		CursorExpiresIn *int
	}
	Meta struct {
		Total     int64
		Returned  int
		RequestID string
	}
}

// wire is a sound record as encoding/json reads it.
type wire struct {
	ID, SessionID, UserID, Type, Name string
	Properties                        json.RawMessage
	Timestamp                         any
	Session                           struct{ ID, DeviceType, Browser string }
}

func (a *api) do(method, path string, header ...string) reply {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("X-API-Key", "ds_test")
	req.Header.Set("User-Agent", "Mozilla/5.0 (test)")
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	resp, err := a.client.RoundTrip(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, body, err}
}

// page asks one endpoint with the parameters, which are name and value in turn.
func (a *api) page(e Endpoint, params ...string) reply {
	a.t.Helper()
	values := url.Values{}
	for i := 0; i < len(params); i += 2 {
		values.Set(params[i], params[i+1])
	}
	if e == List {
		return a.do("GET", "/api/v1/events?"+values.Encode())
	}
	if a.token == "" {
		a.token = a.access()
	}
	return a.do("GET", feedPath+"?"+values.Encode(), tokenHeader, a.token)
}

func (a *api) access() string {
	a.t.Helper()
	var granted struct{ StreamAccess struct{ Token string } }
	r := a.do("POST", "/internal/dashboard/stream-access")
	if err := json.Unmarshal(r.body, &granted); err != nil || r.status != 200 {
		a.t.Fatalf("stream access: %d %s %v", r.status, r.body, err)
	}
	return granted.StreamAccess.Token
}

// read decodes a page that must be one.
func (a *api) read(r reply) envelope {
	a.t.Helper()
	var e envelope
	if r.status != 200 || r.err != nil {
		a.t.Fatalf("status %d, %.300s, %v", r.status, r.body, r.err)
	}
	if err := json.Unmarshal(r.body, &e); err != nil {
		a.t.Fatalf("%v in %.300s", err, r.body)
	}
	if e.Pagination != nil {
		e.HasMore, e.NextCursor = e.Pagination.HasMore, e.Pagination.NextCursor
		if e.Meta.Returned != len(e.Data) {
			a.t.Fatalf("returned %d, but %d records", e.Meta.Returned, len(e.Data))
		}
	}
	return e
}

// walk reads all pages from the parameters on, and returns every record.
func (a *api) walk(e Endpoint, params ...string) (records []json.RawMessage) {
	a.t.Helper()
	for {
		p := a.read(a.page(e, params...))
		records = append(records, p.Data...)
		if !p.HasMore {
			return records
		}
		params = append(params, "cursor", *p.NextCursor)
	}
}

// row is a sound record as the table holds it.
type row struct {
	text string // as TruthSQL hashes it
	at   int64  // microseconds
	id   string
}

func parse(t *testing.T, records []json.RawMessage) []row {
	t.Helper()
	rows := make([]row, len(records))
	for i, raw := range records {
		rows[i] = parseRow(t, raw)
	}
	return rows
}

func parseRow(t *testing.T, raw json.RawMessage) row {
	t.Helper()
	var w wire
	if err := json.Unmarshal(raw, &w); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	var ms int64
	switch ts := w.Timestamp.(type) {
	case float64:
		ms = int64(ts)
	case string:
		at, err := time.Parse(time.RFC3339Nano, ts)
		if err != nil {
			t.Fatal(err)
		}
		ms = at.UnixMilli()
	}
	if w.Session.ID != w.SessionID || string(w.Properties) != `{"page":"/home"}` {
		t.Fatalf("unlike a recorded record: %s", raw)
	}
	return row{fmt.Sprintf(`%s|%s|%s|%s|%s|{"page": "/home"}|%d|%s|%s`, w.ID, w.SessionID, w.UserID, w.Type, w.Name,
		ms*1000, w.Session.DeviceType, w.Session.Browser), ms * 1000, w.ID}
}

// sum adds up the rows in a window, each id once.
func sum(rows []row, start, end int64) Sum {
	seen, hash := make(map[string]bool), uint64(0)
	for _, r := range rows {
		if seen[r.id] || r.at < start || r.at >= end {
			continue
		}
		seen[r.id] = true
		hash += hashRow([]byte(r.text))
	}
	return Sum{int64(len(seen)), strconv.FormatUint(hash, 10)}
}

// ordered fails unless the rows stand newest first, equal timestamps by id, none twice.
func ordered(t *testing.T, rows []row) {
	t.Helper()
	last := row{at: Future}
	for i, r := range rows {
		if r.at > last.at || r.at == last.at && r.id >= last.id {
			t.Fatalf("row %d, (%d, %s), does not follow (%d, %s)", i, r.at, r.id, last.at, last.id)
		}
		last = r
	}
}
