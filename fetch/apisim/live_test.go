package apisim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// synced is when the clock of a synctest bubble begins.
var synced = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// growing are data sets that grow, from the beginning of a bubble on or from before it.
func growing() map[string]Config {
	whole := Config{Seed: 7, Events: 300, Oldest: synced.Add(-time.Hour), Newest: synced, CursorLife: time.Hour, Window: WindowBoth}
	worlds := make(map[string]Config)
	add := func(name string, l Live, change func(*Config)) {
		c := whole
		if c.Live = l; change != nil {
			change(&c)
		}
		worlds[name] = c
	}
	add("punctual", Live{Rate: 2}, nil)
	add("late", Live{Rate: 5, LateShare: 0.3, LateBy: 5 * time.Second, LateMost: 12 * time.Second}, nil)
	add("all late", Live{Rate: 5, LateShare: 1, LateBy: 3 * time.Second}, nil)
	add("several in a millisecond", Live{Rate: 2000, LateShare: 0.5, LateBy: 20 * time.Millisecond},
		func(c *Config) { c.Newest = synced.Add(-100 * time.Millisecond) })
	add("no history", Live{Rate: 5, LateShare: 0.3, LateBy: time.Second}, func(c *Config) { c.Events = None })
	add("a gap", Live{Rate: 0.5, LateShare: 0.1, LateBy: 2 * time.Minute},
		func(c *Config) { c.Newest = synced.Add(-20 * time.Minute) })
	add("spoiled", Live{Rate: 5, LateShare: 0.3, LateBy: 5 * time.Second}, func(c *Config) { c.WrongShare = 0.1 })
	return worlds
}

// listed is the model: every event that arrives up to an instant, in the order of the API, from nothing but a list.
type listed []Event

func list(d *Data, until time.Time) (all listed) {
	for serial := int64(0); d.timeline.events() > serial; serial++ {
		e := d.Event(serial)
		if serial >= d.history && e.OrderMS > until.UnixMilli() {
			break
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Event) int {
		return cmp.Or(cmp.Compare(b.OrderMS, a.OrderMS), bytes.Compare(b.ID[:], a.ID[:]))
	})
	return all
}

// at returns what has arrived at an instant, as rows.
func (l listed) at(d *Data, t time.Time) (rows []row) {
	serials := map[uuid.UUID]int64{}
	for serial := range int64(len(l)) {
		serials[d.Event(serial).ID] = serial
	}
	for _, e := range l {
		serial := serials[e.ID]
		if serial < d.history || e.ArrivesMS <= t.UnixMilli() {
			rows = append(rows, row{string(d.appendRow(nil, serial, e.AtMS*1000)), e.AtMS * 1000, e.ID.String()})
		}
	}
	return rows
}

// instants are the waits between the looks at a growing data set.
var instants = []time.Duration{0, time.Millisecond, 7 * time.Millisecond, 300 * time.Millisecond, time.Second, 11 * time.Second, 90 * time.Second}

// inGrowing runs a test in each of the growing data sets, in virtual time. The list goes to the end of all instants.
func inGrowing(t *testing.T, run func(t *testing.T, a *api, all listed)) {
	t.Helper()
	for name, c := range growing() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, end := near(t, c), time.Now()
				if c.Live.Rate >= 1000 {
					end = end.Add(400 * time.Millisecond)
				} else {
					end = end.Add(5 * time.Minute)
				}
				run(t, a, list(a.Data(), end))
			})
		})
	}
}

// watch waits through the instants, as far as the list of a dense data set goes.
func watch(c Config, look func(now time.Time)) {
	for _, wait := range instants {
		if wait >= time.Second && c.Live.Rate >= 1000 {
			return
		}
		time.Sleep(wait)
		look(time.Now())
	}
}

// TestGrowingServesWhatHasArrived: at every instant all pages, the total, the count and the hash agree with a plain list of events.
func TestGrowingServesWhatHasArrived(t *testing.T) {
	inGrowing(t, func(t *testing.T, a *api, all listed) {
		watch(a.config, func(now time.Time) {
			want := all.at(a.Data(), now)
			for _, e := range []Endpoint{List, Feed} {
				if got := parse(t, a.walk(e, "limit", "137")); !slices.Equal(got, want) {
					t.Errorf("%s at %s: %d rows, want %d", e, now, len(got), len(want))
				}
			}
			total := a.read(a.page(List, "limit", "1")).Meta.Total
			if seen := a.Data().Events(); total != int64(len(want)) || seen != total {
				t.Errorf("at %s: total %d, events %d, want %d", now, total, seen, len(want))
			}
			if got, want := a.Data().Truth(Past, Future), sum(want, Past, Future); got != want {
				t.Errorf("at %s: %v, want %v", now, got, want)
			}
		})
	})
}

// TestGrowingWindows: the same for windows whose edges are in the settled part, in the part to which late events still come, and in
// the future.
func TestGrowingWindows(t *testing.T) {
	inGrowing(t, func(t *testing.T, a *api, all listed) {
		watch(a.config, func(now time.Time) {
			seen := all.at(a.Data(), now)
			edges := []time.Duration{-30 * time.Minute, -10 * time.Second, -3 * time.Millisecond, 0, time.Hour}
			for i, from := range edges {
				for _, to := range edges[i:] {
					start, end := now.Add(from), now.Add(to)
					want := sum(seen, start.UnixMicro(), end.UnixMicro())
					if got := a.Data().At(now).Truth(start.UnixMicro(), end.UnixMicro()); got != want {
						t.Errorf("[%s, %s) at %s: %v, want %v", start, end, now, got, want)
					}
					since, until := fmt.Sprint(start.UnixMilli()), fmt.Sprint(end.UnixMilli()-1)
					got := sum(parse(t, a.walk(Feed, "limit", "500", "since", since, "until", until)), Past, Future)
					if a.config.WrongShare == 0 && got != want {
						t.Errorf("since %s until %s at %s: %v, want %v", since, until, now, got, want)
					}
				}
			}
		})
	})
}

// TestGrowingCursors: while new events come in above and late ones below, a cursor leads to the events that are below it by then.
func TestGrowingCursors(t *testing.T) {
	inGrowing(t, func(t *testing.T, a *api, all listed) {
		params, last := []string{"limit", "7"}, ""
		watch(a.config, func(now time.Time) {
			want := all.at(a.Data(), now)
			want = want[1+slices.IndexFunc(want, func(r row) bool { return r.id == last }):]
			p := a.read(a.page(List, params...))
			got := parse(t, p.Data)
			if rest := len(want) > 7; !slices.Equal(got, want[:min(7, len(want))]) || p.HasMore != rest {
				t.Errorf("after %s at %s: %d rows, more %v; %d are left", last, now, len(got), p.HasMore, len(want))
			}
			if p.NextCursor != nil {
				params, last = []string{"limit", "7", "cursor", *p.NextCursor}, got[len(got)-1].id
			}
		})
	})
}

// TestGrowingSingles: an event is found by its id from its arrival on.
func TestGrowingSingles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := growing()["all late"]
		a := near(t, c)
		e := a.Data().Event(int64(c.Events) + 3)
		path := "/api/v1/events/" + e.ID.String()
		time.Sleep(time.Until(time.UnixMilli(e.ArrivesMS - 1)))
		if r := a.do("GET", path); r.status != 404 {
			t.Errorf("before: %d", r.status)
		}
		time.Sleep(time.Millisecond)
		if r := a.do("GET", path); r.status != 200 {
			t.Errorf("after: %d", r.status)
		}
	})
}

// TestGrowingCacheServesTheOldPage: for as long as an answer is repeated, nothing in it is new, its total neither.
func TestGrowingCacheServesTheOldPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := growing()["late"]
		c.CacheLife = 30 * time.Second
		a := near(t, c)
		time.Sleep(time.Minute)
		first := a.page(List, "limit", "50")
		time.Sleep(30*time.Second - time.Millisecond)
		if again := a.page(List, "limit", "50"); again.header["X-Cache"][0] != "HIT" || !bytes.Equal(again.body, first.body) {
			t.Errorf("%v: another page", again.header)
		}
		time.Sleep(time.Millisecond)
		if fresh := a.page(List, "limit", "50"); fresh.header["X-Cache"][0] != "MISS" || a.read(fresh).Meta.Total <= a.read(first).Meta.Total {
			t.Errorf("%v: still the old page", fresh.header)
		}
	})
}

// TestGrowingIsTheSameAfterARestart: another process, started later with the same settings, serves the same.
func TestGrowingIsTheSameAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range growing() {
			before := near(t, c)
			time.Sleep(1700 * time.Millisecond)
			after := near(t, c)
			a, b := before.walk(Feed, "limit", "500"), after.walk(Feed, "limit", "500")
			if !slices.EqualFunc(a, b, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
				t.Errorf("%s: %d records, and then %d", name, len(a), len(b))
			}
			if before.Config().Source() != after.Config().Source() {
				t.Errorf("%s: %s, and then %s", name, before.Config().Source(), after.Config().Source())
			}
		}
	})
}

// TestGrowingSessions: only sessions that have begun are served, each with the events that have arrived.
func TestGrowingSessions(t *testing.T) {
	inGrowing(t, func(t *testing.T, a *api, all listed) {
		watch(a.config, func(now time.Time) {
			v := a.Data().At(now)
			held := int64(0)
			for index := range v.sessionTotal() {
				held += int64(v.sessionEvents(index))
			}
			if held != v.Events() {
				t.Fatalf("at %s: %d events in %d sessions, want %d", now, held, v.sessionTotal(), v.Events())
			}
			seen := all.at(a.Data(), now)
			if len(seen) == 0 {
				return
			}
			session := strings.Split(seen[0].text, "|")[1]
			want := slices.DeleteFunc(seen, func(r row) bool { return !strings.Contains(r.text, session) })
			if got := parse(t, a.walk(List, "limit", "5", "sessionId", session)); !slices.Equal(got, want) {
				t.Errorf("at %s: %d rows of session %s, want %d", now, len(got), session, len(want))
			}
		})
	})
}
