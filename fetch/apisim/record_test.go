package apisim

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"
	"unicode/utf8"
)

// TestMalformedRecords: each way is there, no two are alike, each is the same wherever it is served, and the rest is whole.
func TestMalformedRecords(t *testing.T) {
	c := small()
	c.Events, c.MalformedShare = 600, 0.2
	a := start(t, c)
	ways, seen := make(map[string]int), make(map[string]bool)
	for serial := range a.Data().Events() {
		raw := a.Data().MalformedRecord(serial)
		if raw == nil {
			continue
		}
		how, _ := a.Data().Malformed(serial)
		ways[how.Name]++
		if seen[string(raw)] {
			t.Errorf("twice: %.200s", raw)
		}
		seen[string(raw)] = true
	}
	if len(ways) != len(Malformations) {
		t.Errorf("only %v", ways)
	}
	for _, params := range [][]string{{"limit", "100"}, {"limit", "137", "until", "1767400000000"}} {
		for _, e := range []Endpoint{List, Feed} {
			for _, body := range bodies(a, e, params...) {
				for raw := range seen {
					if stands(body, raw) {
						ways[raw]++
					}
				}
			}
		}
	}
	for raw := range seen {
		if ways[raw] != 4 {
			t.Errorf("served %d of 4 times: %.200s", ways[raw], raw)
		}
	}
	sound := a.Data().Truth(Past, Future)
	if sound.Rows+int64(len(seen)) != a.Data().Events() {
		t.Errorf("%d sound and %d malformed of %d", sound.Rows, len(seen), a.Data().Events())
	}
}

// TestRecordsAreServedAsTheyAre: byte for byte at their place, and the truth knows nothing of them.
func TestRecordsAreServedAsTheyAre(t *testing.T) {
	c := small()
	c.Events, c.Records = 600, map[int64][]byte{0: []byte("{\"a\":\xff}"), 300: []byte(`null`), 599: []byte(`[1 ,2]`)}
	a := start(t, c)
	for _, e := range []Endpoint{List, Feed} {
		all := bytes.Join(bodies(a, e, "limit", "100"), nil)
		for _, raw := range c.Records {
			if !stands(all, string(raw)) {
				t.Errorf("%s does not serve %q", e, raw)
			}
		}
	}
	if rows := a.Data().Truth(Past, Future).Rows; rows != 597 {
		t.Errorf("the truth has %d rows, want 597", rows)
	}
}

// stands reports whether a record is in a page, and not only its text inside another.
func stands(body []byte, raw string) bool {
	for from := 1; ; {
		found := bytes.Index(body[from:], []byte(raw))
		if found < 0 {
			return false
		}
		at, end := from+found, from+found+len(raw)
		starts := body[at-1] == ',' || bytes.HasSuffix(body[:at], []byte(`"data":[`))
		if starts && (body[end] == ',' || body[end] == ']') {
			return true
		}
		from = at + 1
	}
}

// bodies reads all pages without looking into their records: only the end of a body is decoded.
func bodies(a *api, e Endpoint, params ...string) (all [][]byte) {
	a.t.Helper()
	for {
		r := a.page(e, params...)
		all = append(all, r.body)
		tail := append([]byte(`{"`), r.body[bytes.LastIndex(r.body, []byte(`pagination":{`)):]...)
		p := a.read(reply{status: r.status, body: bytes.Replace(tail, []byte(`"returned"`), []byte(`"was"`), 1)})
		if !p.HasMore {
			return all
		}
		params = append(params, "cursor", *p.NextCursor)
	}
}

// TestMalformationsAreMalformed: none is a record that a reader could store.
func TestMalformationsAreMalformed(t *testing.T) {
	d, err := NewData(Config{Events: 1000})
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]bool{"name with a bad escape": true, "timestamp not json": true, "nested too deep": true}
	lenient := map[string]bool{"name twice": true, "lone surrogate": true, "nul": true, "number too large": true}
	for _, m := range Malformations {
		raw := m.record(d.Event(7), 7)
		var w wire
		err := json.Unmarshal(raw, &w)
		if broken[m.Name] != (err != nil && raw[0] == '{' && !isTypeError(err)) {
			t.Errorf("%s: %v", m.Name, err)
		}
		if err == nil && !lenient[m.Name] && utf8.Valid(raw) && storable(&w) {
			t.Errorf("%s could be stored: %s", m.Name, raw)
		}
	}
}

func isTypeError(err error) bool {
	_, ok := err.(*json.UnmarshalTypeError)
	return ok
}

func storable(w *wire) bool {
	readable := false
	switch ts := w.Timestamp.(type) {
	case float64:
		readable = ts < float64(lastYear)
	case string:
		_, err := time.Parse(time.RFC3339Nano, ts)
		readable = err == nil
	}
	return readable && len(w.ID) == 36 && len(w.SessionID) == 36 && len(w.UserID) == 36 && w.Type != "" && len(w.Type) <= 50 &&
		w.Name != "" && len(w.Name) <= 100 && w.Session.DeviceType != ""
}

// TestWrongTimestamps: the order is that of the true times, the truth that of the served ones.
func TestWrongTimestamps(t *testing.T) {
	c := small()
	right := start(t, c)
	order := parse(t, right.walk(List, "limit", "5000"))
	c.WrongShare = 0.02
	a := start(t, c)
	rows, wrong := parse(t, a.walk(List, "limit", "137")), 0
	for i, r := range rows {
		if r.id != order[i].id {
			t.Fatalf("row %d is %s, want %s", i, r.id, order[i].id)
		}
		if r.at == order[i].at {
			continue
		}
		wrong++
		if r.at < 0 || r.at >= lastYear*1000 || math.Abs(float64(r.at-order[i].at)) < float64(time.Hour.Microseconds()) {
			t.Errorf("served at %d instead of %d", r.at, order[i].at)
		}
	}
	if wrong < 60 || wrong > 180 {
		t.Errorf("%d wrong timestamps, want about 120", wrong)
	}
	for _, w := range [][2]int64{{Past, Future}, {day(2).UnixMicro(), Future}, {day(1).UnixMicro(), day(2).UnixMicro()}, {Past, day(1).UnixMicro()}} {
		if got, want := a.Data().Truth(w[0], w[1]), sum(rows, w[0], w[1]); got != want {
			t.Errorf("%v: %v, want %v", w, got, want)
		}
	}
}

// TestNamespace: ids are different and version 4, also with very many events.
func TestNamespace(t *testing.T) {
	d, err := NewData(Config{Events: 1 << 40, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[8]byte]int64{}
	for _, from := range []int64{0, 1 << 30, 1<<40 - 20_000} {
		for serial := from; serial < from+20_000; serial++ {
			id := d.events.uuid(serial)
			if other, twice := seen[[8]byte(id[:8])]; twice || id.Version() != 4 || id.Variant().String() != "RFC4122" {
				t.Fatalf("serial %d: %s; its first half is that of %d, too: %v", serial, id, other, twice)
			}
			seen[[8]byte(id[:8])] = serial
		}
	}
}

// TestManyEventsNeedNoMemory: a page in the middle of 30,000,000 events costs what any page costs.
func TestManyEventsNeedNoMemory(t *testing.T) {
	a := start(t, Config{Events: 30_000_000})
	rows := parse(t, a.read(a.page(Feed, "limit", "1000", "until", "1768000000000")).Data)
	ordered(t, rows)
	if rows[0].at > 1768000000000_000 || rows[999].at < 1767999000000_000 {
		t.Errorf("from %d to %d", rows[0].at, rows[999].at)
	}
	allocated := testing.AllocsPerRun(10, func() { a.Data().Truth(1768000000000_000, 1768000001000_000) })
	if allocated > 50 {
		t.Errorf("%v allocations", allocated)
	}
}

// TestRowHash pins the text that PostgreSQL has to hash; the value was checked against TruthSQL there.
func TestRowHash(t *testing.T) {
	const text = `830b8b48-3a34-47d4-905f-e5732984404a|5eee34ee-c537-434c-af30-e2655cf5d5c3|17defd21-1400-4ae5-b690-82db0159248c|` +
		`page_view|event_y4hvdj|{"page": "/home"}|1767799705919000|mobile|Edge`
	if got := int64(hashRow([]byte(text))); got != -2119380577270306524 {
		t.Errorf("%d", got)
	}
}

func TestSource(t *testing.T) {
	c := small()
	c.WrongShare, c.MalformedShare, c.List, c.Key = 0.25, 0.01, Limit{1, time.Second, false}, "secret"
	const want = "simulator:v2,seed=7,n=6000,span=1767225600000-1767398400000,skew=0.5@1767243600000,tie=400@1767312000000," +
		"tie=3@1767312000001,tie=50@1767225600000,tie=60@1767398400000,wrong=0.25,malformed=0.01"
	if got := c.Source(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := (Config{Seed: 1}).Source(); got != "simulator:v2,seed=1,n=3000000" {
		t.Error(got)
	}
}
