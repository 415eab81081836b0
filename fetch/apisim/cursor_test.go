package apisim

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

const (
	lowest  = "00000000-0000-0000-0000-000000000000"
	highest = "ffffffff-ffff-ffff-ffff-ffffffffffff"
)

// forge makes a cursor as several accounts did.
func forge(id string, ts int64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"id":"%s","ts":%d,"v":2,"exp":4102444800000}`, id, ts))
}

func TestCursorHasTheRecordedForm(t *testing.T) {
	a := start(t, Config{Events: 100})
	p := a.read(a.page(List, "limit", "10"))
	cursor := *p.NextCursor
	plain, err := base64.StdEncoding.DecodeString(cursor)
	if err != nil || len(cursor) != 120 || strings.ContainsAny(cursor, "=+/") {
		t.Fatalf("%q: %v", cursor, err)
	}
	last := parse(t, p.Data)[9]
	if want := fmt.Sprintf(`{"id":"%s","ts":%d,"v":2,"exp":`, last.id, last.at/1000); !strings.HasPrefix(string(plain), want) {
		t.Errorf("%s, want %s…", plain, want)
	}
	if left := *p.Pagination.CursorExpiresIn; left != 119 {
		t.Errorf("cursorExpiresIn %d", left)
	}
	end := a.read(a.page(List, "limit", "5000"))
	if end.HasMore || end.NextCursor != nil || end.Pagination.CursorExpiresIn != nil {
		t.Errorf("the last page: %+v", end.Pagination)
	}
}

func TestCursorIsGoodAtBothEndpoints(t *testing.T) {
	a := start(t, small())
	all := parse(t, a.walk(List, "limit", "1000"))
	p := a.read(a.page(List, "limit", "100"))
	for _, e := range []Endpoint{List, Feed, List} { // again and again
		if next := parse(t, a.read(a.page(e, "limit", "1", "cursor", *p.NextCursor)).Data); next[0] != all[100] {
			t.Errorf("%s: %v, want %v", e, next[0], all[100])
		}
	}
}

// TestForgedCursorsAtBoundaries: strictly after (ts, id), wherever the pair falls.
func TestForgedCursorsAtBoundaries(t *testing.T) {
	a := start(t, small())
	all := parse(t, a.walk(List, "limit", "5000"))
	cursors := []struct {
		id string
		ts int64
	}{{lowest, 0}, {highest, 0}, {highest, day(9).UnixMilli()}, {lowest, day(1).UnixMilli()}, {highest, day(1).UnixMilli()}}
	for _, r := range []row{all[0], all[1], all[62], all[2000], all[3333], all[len(all)-51], all[len(all)-1]} {
		for _, id := range []string{lowest, highest, r.id} {
			for _, ms := range []int64{-1, 0, 1} {
				cursors = append(cursors, struct {
					id string
					ts int64
				}{id, r.at/1000 + ms})
			}
		}
	}
	for _, c := range cursors {
		p := a.read(a.page(List, "limit", "3", "cursor", forge(c.id, c.ts)))
		got := parse(t, p.Data)
		var want []row
		for _, r := range all {
			if r.at < c.ts*1000 || r.at == c.ts*1000 && r.id < c.id {
				want = append(want, r)
			}
		}
		more := len(want) > 3
		if want = want[:min(3, len(want))]; fmt.Sprint(got) != fmt.Sprint(want) || p.HasMore != more {
			t.Errorf("after (%d, %s): %v %v, want %v %v", c.ts, c.id, got, p.HasMore, want, more)
		}
	}
}

func TestCursorsThatAreRefused(t *testing.T) {
	expired := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"id":"%s","ts":5,"v":2,"exp":%d}`,
		highest, time.Now().Add(-90*time.Minute).UnixMilli()))
	const format = `{"error":"Bad Request","message":"Invalid cursor format","code":"CURSOR_INVALID_FORMAT"}`
	const late = `{"error":"Bad Request","message":"Cursor expired 90 minute(s) ago","code":"CURSOR_EXPIRED"}`
	for name, c := range map[string]struct {
		change func(*Config)
		cursor string
		status int
		body   string // empty: not compared
	}{
		"not base64":       {nil, "%%%", 400, format},
		"not JSON":         {nil, "aGVsbG8", 400, format},
		"a field missing":  {nil, base64.StdEncoding.EncodeToString([]byte(`{"ts":5}`)), 400, format},
		"cut":              {nil, forge(highest, 5)[:60], 400, format},
		"no uuid":          {nil, forge("x", 5), 400, format},
		"expired":          {nil, expired, 400, late},
		"expired, as 502":  {func(c *Config) { c.ExpiredAs502 = true }, expired, 502, ""},
		"malformed as 502": {func(c *Config) { c.CursorFault = BadCursor502 }, "%%%", 502, ""},
		"ignored":          {func(c *Config) { c.CursorFault = BadCursorIgnore }, "%%%", 200, ""},
		"too old":          {nil, forge(highest, 5), 200, ""},
		"too old, teapot":  {func(c *Config) { c.Teapot = true }, forge(highest, 5), 418, `{"error":"I'm a teapot","message":"I'm a teapot","code":"TEAPOT"}`},
		"forged, opaque":   {func(c *Config) { c.Opaque = true }, forge(highest, 5), 400, format},
		"short, opaque":    {func(c *Config) { c.Opaque = true }, "aaaa", 400, format},
	} {
		t.Run(name, func(t *testing.T) {
			config := Config{Events: 100}
			if c.change != nil {
				c.change(&config)
			}
			r := start(t, config).page(List, "cursor", c.cursor)
			if r.status != c.status || c.body != "" && string(r.body) != c.body {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
}

func TestCursorLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Events: 100, CursorLife: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		first, _ := s.cursors.encode(uuid.MustParse(highest), realNewest, time.Now())
		time.Sleep(time.Second - time.Millisecond)
		if w := ask(s, "GET", "/api/v1/events?cursor="+first); w.Code != 200 {
			t.Errorf("alive: %d", w.Code)
		}
		time.Sleep(time.Millisecond)
		if w := ask(s, "GET", "/api/v1/events?cursor="+first); w.Code != 400 {
			t.Errorf("dead: %d", w.Code)
		}
	})
}

func TestOpaqueCursors(t *testing.T) {
	c := small()
	c.Opaque = true
	a := start(t, c)
	rows := parse(t, a.walk(Feed, "limit", "400"))
	ordered(t, rows)
	if got, want := sum(rows, Past, Future), a.Data().Truth(Past, Future); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	cursor := *a.read(a.page(List)).NextCursor
	tampered := cursor[:20] + strings.ToLower(cursor[20:40]) + cursor[40:]
	if r := a.page(List, "cursor", tampered); r.status != 400 {
		t.Errorf("a tampered cursor: %d", r.status)
	}
	if r := start(t, c).page(List, "cursor", cursor); r.status != 200 {
		t.Errorf("a cursor of the server before: %d", r.status)
	}
}

// TestWindows compares every meaning of since and until with a walk of everything.
func TestWindows(t *testing.T) {
	for _, c := range []struct {
		window       Window
		since, until bool // exclusive
	}{{WindowFeed, false, false}, {WindowFeed, true, false}, {WindowFeed, false, true}, {WindowBoth, true, true}, {WindowNone, false, false}} {
		config := small()
		config.Events = 1200
		config.Window, config.SinceExclusive, config.UntilExclusive = c.window, c.since, c.until
		a := start(t, config)
		all := parse(t, a.walk(List, "limit", "5000"))
		for _, w := range [][2]int64{
			{day(2).UnixMilli(), day(2).UnixMilli()}, {day(2).UnixMilli() - 1, day(2).UnixMilli() + 1},
			{all[500].at / 1000, all[100].at / 1000}, {0, day(1).UnixMilli()}, {day(3).UnixMilli(), day(9).UnixMilli()}, {9, 5},
		} {
			for _, e := range []Endpoint{List, Feed} {
				lo, hi := w[0]*1000, w[1]*1000
				if c.since {
					lo++
				}
				if !c.until {
					hi++
				}
				if honoured := c.window == WindowBoth || c.window == WindowFeed && e == Feed; !honoured {
					lo, hi = Past, Future
				}
				got := parse(t, a.walk(e, "limit", "150", "since", strconv.FormatInt(w[0], 10), "until", strconv.FormatInt(w[1], 10)))
				if sum(got, Past, Future) != sum(all, lo, hi) {
					t.Errorf("%+v, %s of %v: %d rows, want %d", c, e, w, len(got), sum(all, lo, hi).Rows)
				}
				ordered(t, got)
			}
		}
	}
}
