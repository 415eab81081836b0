package job_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/coordinator/ledger/memstore"
	"sluice/fetch/apisim"
	"sluice/fetch/datasync"
	"sluice/fetch/quota"
	"sluice/shard"
)

// kind is a kind of fault that is known and not fixed yet. The generator does not draw it unless KNOWN names it, or is "all". This is
// the one form of an expected failure.
type kind string

const (
	lateBeyond kind = "late beyond the lookback"
)

type kinds []string

// draws reports whether the generator draws a known kind.
func (k kinds) draws(one kind) bool {
	return slices.Contains(k, "all") || slices.Contains(k, string(one))
}

var known = kinds(strings.Split(os.Getenv("KNOWN"), ","))

// TestSimulationPlain: without a fault, the world of the written scenarios is complete, and so is one that grows.
func TestSimulationPlain(t *testing.T) {
	for name, write := range map[string]func(*scenario){
		"a load":   func(*scenario) {},
		"flat":     func(s *scenario) { s.api.Flat, s.windows = true, thirds(s) },
		"two jobs": func(s *scenario) { s.plot = []act{{do: load}, {do: load, job: jobB}, {do: syncOnce, job: jobB}} },
		// 20 adjacent records carry a clock of 1990, as one client sends them: they are no end of a window.
		"old clocks in a batch": func(s *scenario) {
			s.api.Flat, s.windows = true, thirds(s)
			s.api.Records = wrongClock(s, 85, 105)
		},
		// The API floors until to whole seconds: each window lacks up to a second of records at its newer edge.
		"until is floored": func(s *scenario) {
			s.api.Oldest, s.api.Flat = s.api.Newest.Add(-time.Minute), true
			s.windows = thirds(s)
			s.tamper.request = floorUntil
		},
		// One answer at the end of the data lacks some records, as one of a replica that lags; the next is whole.
		"a thin answer": func(s *scenario) {
			s.api.Flat, s.windows, s.fetchers = true, []shard.Window{ledger.Everything}, 1
			s.tamper.answer = thinFirst()
		},
		// In pages of two there are few ways to ask for the end again, and the API has answered all of them before.
		"an end from the cache": func(s *scenario) {
			s.api.Window, s.api.PageCap, s.api.CacheLife, s.caps.PageSize, s.caps.UntilStream = apisim.WindowNone, 2, 30*time.Second, 2, false
			s.api.Latency = apisim.Latency{Page: 10 * time.Millisecond, Hit: time.Millisecond}
			s.way, s.sinkTook, s.fetchers = time.Millisecond, time.Millisecond, 1
			edge := shard.InstantOf(s.api.Oldest.Add(-time.Hour))
			s.windows = []shard.Window{{Start: shard.Past, End: edge}, {Start: edge, End: shard.Future}}
		},
		"a repair": func(s *scenario) {
			s.fetchers = 1
			s.plot = []act{{do: load}, loseRows(rand.New(rand.NewPCG(1, 1)), 0.5), {do: repair}, {do: load}}
		},
		// Rows of a round across an edge of the first load are lost.
		"a repair after a round": func(s *scenario) {
			s.api.Live = apisim.Live{Rate: 0.02}
			s.patience, s.api.Oldest = 4, epoch.Add(-20*time.Minute)
			s.plot = []act{{do: load}, pause(time.Hour), {do: syncOnce}, loseRows(rand.New(rand.NewPCG(1, 1)), 1), {do: repair}, {do: load}}
		},
		// The second walk splits windows; rows are lost from the pieces.
		"a repair after a second walk": func(s *scenario) {
			s.patience, s.fetchers = 4, 4
			s.plot = []act{{do: load}, {do: again}, loseRows(rand.New(rand.NewPCG(1, 1)), 0.5), {do: repair}, {do: load}, {do: verify, once: true}}
		},
		// Cron and a person.
		"two repairs at once": func(s *scenario) {
			s.windows, s.patience = thirds(s), 4
			s.way, s.sinkTook, s.seed = time.Microsecond, 100*time.Millisecond, 3
			s.plot = []act{{do: load}, loseRows(rand.New(rand.NewPCG(1, 1)), 0.3), {do: repair}, {do: repair, after: time.Nanosecond}, pause(time.Hour), {do: load}}
		},
		// Another program inserts a row during the load.
		"a foreign row": func(s *scenario) {
			s.patience, s.windows = 2, thirds(s)
			s.plot = []act{{do: load}, {do: byHand, name: "insert a row", after: 3 * time.Second, hand: foreignRow}}
		},
		// It is accepted, and gone when somebody truncates the table.
		"a foreign row that is gone": func(s *scenario) {
			s.patience, s.windows = 6, thirds(s)
			s.plot = []act{
				{do: load}, {do: byHand, name: "insert a row", hand: foreignRow}, {do: verify}, {do: foreign},
				{do: byHand, name: "truncate", hand: truncate}, {do: repair}, {do: load}, {do: verify, once: true},
			}
		},
		// A follow begins with that row, and goes on; what is decided beside it ends the doubt.
		"a foreign row under a follow": func(s *scenario) {
			s.windows, s.api.Live, s.every = thirds(s), apisim.Live{Rate: 0.05}, time.Minute
			s.plot = []act{
				{do: load, once: true}, {do: byHand, name: "insert a row", after: 3 * time.Second, hand: foreignRow},
				{do: follow, lasts: 5 * time.Hour}, {do: foreign, after: time.Hour},
			}
		},
		"a kill": func(s *scenario) {
			s.plot = []act{{do: load}, {do: byHand, name: "kill", after: 4 * time.Second, kills: true}}
		},
		"once more": func(s *scenario) {
			s.plot = []act{{do: load}, pause(time.Hour), {do: syncOnce}, {do: again}, {do: syncOnce}}
		},
		"a replay": func(s *scenario) {
			s.api.MalformedShare = 0.2
			s.plot = []act{{do: load}, {do: replay}, {do: verify}, {do: syncOnce}}
		},
		"a follow": func(s *scenario) {
			s.api.Live = apisim.Live{Rate: 0.05}
			s.plot = []act{{do: follow, lasts: 5 * time.Hour}, {do: load, after: time.Hour}}
		},
		// While a follow rests, the database fails over to a standby that is behind: the first load is not done any more.
		"a failover under a follow": func(s *scenario) {
			s.total, s.rate[badFailover] = missing, 1e-12 // so that moments are remembered
			s.plot = []act{{do: follow, lasts: time.Hour}, {do: byHand, name: "fail over", after: 40 * time.Second, hand: failOver}}
		},
		// Late events lie before the lookback: no sync says that all is complete until everything was read once more.
		"a shortage": func(s *scenario) {
			s.api.Live = apisim.Live{Rate: 0.01, LateShare: 0.3, LateBy: 2 * time.Hour, LateMost: 6 * time.Hour}
			s.lookback = time.Minute
			s.plot = []act{
				{do: load}, pause(12 * time.Hour), {do: syncOnce, once: true}, pause(6 * time.Hour), {do: syncOnce, once: true},
				{do: syncOnce, once: true}, {do: again},
			}
		},
		// Of two jobs of one source, one is not shown half of the newest events by its syncs.
		"a second job": func(s *scenario) {
			s.api.Live = apisim.Live{Rate: 0.01}
			s.plot = []act{
				{do: load}, {do: load, job: jobB}, pause(time.Hour), {do: syncOnce, job: jobB, once: true},
				{do: syncOnce, job: jobB, once: true}, {do: again, job: jobB},
			}
			s.tamper.answer = hideNewest
		},
		// Two of the newest events are not shown: both to the first reading of everything, one of them to the second.
		"a second reading that finds the half": func(s *scenario) {
			s.tamper.answer = hideTwo
			s.plot = []act{{do: load, once: true}, {do: again, once: true}, {do: again}}
		},
		// One of the newest events is not shown to the first two readings, and the second is told twice that the data end in the middle.
		"a second reading that ends early": func(s *scenario) {
			s.tamper.answer = endEarly
			s.plot = []act{{do: load, once: true}, {do: again, once: true}, {do: again}}
		},
		// The newest page lacks an event until all is read, and shows it when the totals are compared.
		"an event that shows late": func(s *scenario) {
			s.fetchers = 1
			s.tamper.answer = hideAtFirst
			s.plot = []act{{do: load, once: true}, {do: again}}
		},
		"a truncated table": func(s *scenario) {
			s.plot = []act{{do: load}, {do: byHand, name: "truncate", hand: truncate}, {do: load, once: true}, {do: syncOnce, once: true}, {do: load}}
		},
		// In the middle of a load another data set is served at the same address, for a while.
		"another source": func(s *scenario) {
			s.windows = thirds(s)
			s.plot = []act{
				{do: load, once: true}, {do: byHand, name: "another data set", after: 4 * time.Second, hand: otherSource},
				{do: load, once: true}, {do: byHand, name: "the data set from before", hand: sourceBack}, {do: load},
			}
		},
		// After a load another data set is served at the same address, for a while.
		"another source for a sync": func(s *scenario) {
			s.api.Live = apisim.Live{Rate: 0.01}
			s.plot = []act{
				{do: load}, pause(time.Hour), {do: byHand, name: "another data set", hand: otherSource}, {do: syncOnce, once: true},
				{do: verify}, {do: byHand, name: "the data set from before", hand: sourceBack}, {do: verify}, {do: syncOnce},
			}
		},
		// The source counts 300 events more than it serves, which a follow lives with, and so does a replay beside it.
		"a replay beside a follow": func(s *scenario) {
			s.api.MalformedShare, s.api.Live = 0.2, apisim.Live{Rate: 0.05}
			s.follows, s.every = 2*time.Hour, time.Minute
			s.tamper.answer = countMore
			s.plot = []act{{do: load}, {do: follow, lasts: 2 * time.Hour}, {do: replay, after: time.Hour}}
		},
		"a capped total":   func(s *scenario) { s.total = capped },
		"a high total":     func(s *scenario) { s.total = high },
		"a low total":      func(s *scenario) { s.total = low },
		"a filtered total": func(s *scenario) { s.total = filtered },
		"no total":         func(s *scenario) { s.total = missing },
		// It stays the same if one event more comes: late, and so not on the newest page.
		"a capped total of a follow": func(s *scenario) {
			s.total, s.every, s.lookback = capped, time.Minute, time.Hour
			s.api.Live = apisim.Live{Rate: 0.005, LateShare: 0.5, LateBy: 5 * time.Minute, LateMost: 20 * time.Minute}
			s.plot = []act{{do: follow, lasts: 5 * time.Hour}}
		},
		"a high total of syncs": func(s *scenario) {
			s.total, s.api.Live = high, apisim.Live{Rate: 0.01}
			s.plot = []act{{do: load}, pause(time.Hour), {do: syncOnce}, pause(time.Hour), {do: syncOnce, once: true}}
		},
		// It was right during the load, and counts one too many from then on; as much comes while all is read once more.
		"a total that goes wrong": func(s *scenario) {
			s.api.Live, s.api.PageCap, s.caps.PageSize = apisim.Live{Rate: 0.2}, 50, 50
			s.total = func(_ *simulation, _ *http.Request, right float64) (float64, bool) {
				return right + min(1, math.Floor(time.Since(epoch).Minutes())), true
			}
			s.plot = []act{{do: load}, pause(10 * time.Minute), {do: syncOnce}, {do: syncOnce}, {do: syncOnce}, {do: syncOnce}}
		},
		"its ledger": func(s *scenario) {
			s.plot = []act{{do: load}, {after: 3 * time.Second, do: byHand, name: "lose a shard", hand: loseShard(rand.New(rand.NewPCG(1, 1))).hand}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			sc := plain()
			write(sc)
			if s := play(t, sc); s.wrong != nil {
				t.Errorf("%v\n%s", s.wrong, tail(s))
			}
		})
	}
}

// Whenever another data set takes the place of the first, for a while, the end is the first one's, whole.
func TestSimulationAnotherSource(t *testing.T) {
	for after := time.Second; after < 12*time.Second; after += time.Second {
		sc := plain()
		sc.windows = thirds(sc)
		sc.plot = []act{
			{do: load, once: true}, {do: byHand, name: "another data set", after: after, hand: otherSource}, {do: load, once: true},
			{do: byHand, name: "the data set from before", hand: sourceBack}, {do: load},
		}
		if s := play(t, sc); s.wrong != nil {
			t.Errorf("after %s: %v\n%s", after, s.wrong, tail(s))
		}
	}
}

// The source's total is wrong, and the process is killed at any moment: what was decided about the total is whole, or is decided again.
func TestSimulationAWrongTotalAndAKill(t *testing.T) {
	for _, total := range []totalOf{capped, high} {
		for after := 5 * time.Second; after < 25*time.Second; after += 190 * time.Millisecond {
			sc := plain()
			sc.total, sc.sinkTook = total, 200*time.Millisecond
			sc.plot = []act{{do: load, once: true}, {do: again}, {do: byHand, name: "kill", after: after, kills: true}, {do: load}}
			if s := play(t, sc); s.wrong != nil {
				t.Fatalf("after %s: %v\n%s", after, s.wrong, tail(s))
			}
			sc = plain()
			sc.total, sc.sinkTook = total, 200*time.Millisecond
			sc.plot = []act{{do: load}, {do: byHand, name: "kill", after: after, kills: true}}
			if s := play(t, sc); s.wrong != nil {
				t.Fatalf("after %s: %v\n%s", after, s.wrong, tail(s))
			}
		}
	}
}

func tail(s *simulation) string {
	lines := strings.Split(s.stage.text.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

// plain is the world of the written scenarios: 120 events in a day, 10 in a page, nothing drawn, and all calm.
func plain() *scenario {
	s := &scenario{
		seed: 1, fetchers: 2, shards: 3, limits: shard.Limits{QueuePages: 2, BatchRows: 10}, patience: 10, span: ledger.Everything,
		way: 100 * time.Millisecond, sinkTook: 100 * time.Millisecond, every: time.Minute, plot: []act{{do: load}},
		pacer: quota.Config{Quotas: datasync.Quotas(quota.Limit{N: quota.Unlimited}, quota.Limit{N: quota.Unlimited})},
		caps:  datasync.Capabilities{StreamAccess: true, UntilStream: true, PageSize: 10},
	}
	s.api = apisim.Config{
		Seed: 1, Events: 120, Oldest: epoch.Add(-24 * time.Hour), Newest: epoch, PageCap: 10, CursorLife: 24 * time.Hour,
		TokenLife: 300 * time.Second, Window: apisim.WindowFeed, RetryAfter: apisim.RetryBoth, Latency: apisim.Latency{Page: time.Second},
	}
	return s
}

// thirds plans a job with three windows of the same length.
func thirds(s *scenario) []shard.Window {
	a, b := shard.InstantOf(s.api.Oldest), shard.InstantOf(s.api.Newest)
	one, two := a+(b-a)/3+700_500, a+2*(b-a)/3+700_500
	return []shard.Window{{Start: shard.Past, End: one}, {Start: one, End: two}, {Start: two, End: shard.Future}}
}

func pause(d time.Duration) act { return act{do: byHand, name: "wait", lasts: d} }

// wrongClock returns sound records of some serials with a clock of 1990.
func wrongClock(s *scenario, from, to int64) map[int64][]byte {
	data, err := apisim.NewData(s.api)
	if err != nil {
		panic(err)
	}
	all := map[int64][]byte{}
	for i := from; i < to; i++ {
		e := data.Event(i)
		all[i] = fmt.Appendf(nil, `{"id":"%s","sessionId":"%s","userId":"%s","type":"%s","name":"%s","properties":{"page":"/home"},`+
			`"timestamp":"1990-01-01T00:00:%02d.000Z","session":{"id":"%s","deviceType":"%s","browser":"%s"}}`,
			e.ID, e.Session, e.User, e.Type, e.Name, i%60, e.Session, e.Device, e.Browser)
	}
	return all
}

// forgive keeps records that the source hides from counting as missing behind a checkpoint: they are missing from the end.
func (s *simulation) forgive(hidden func(*record) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.truth.grow()
	for i := range s.truth.records {
		if r := &s.truth.records[i]; hidden(r) {
			s.gone[r.served.ID] = time.Time{}
		}
	}
}

func floorUntil(s *simulation, _ *process, r *http.Request) {
	q := r.URL.Query()
	if ms, err := strconv.ParseInt(q.Get("until"), 10, 64); err == nil {
		s.forgive(func(r *record) bool { return r.AtMS >= ms/1000*1000 && r.AtMS <= ms })
		q.Set("until", strconv.FormatInt(ms/1000*1000, 10))
		u := *r.URL
		u.RawQuery = q.Encode()
		r.URL = &u
	}
}

// body is an answer with events, nested or flat.
type body map[string]json.RawMessage

// edit changes the records of an answer with events.
func (a *answered) edit(change func(body, []json.RawMessage) []json.RawMessage) {
	var b body
	var records []json.RawMessage
	if json.Unmarshal(a.body.Bytes(), &b) != nil || json.Unmarshal(b["data"], &records) != nil {
		return
	}
	records = change(b, records)
	var meta map[string]any
	if json.Unmarshal(b["meta"], &meta) == nil && meta != nil {
		meta["returned"] = len(records)
		b["meta"], _ = json.Marshal(meta)
	}
	b["data"], _ = json.Marshal(append([]json.RawMessage{}, records...))
	text, _ := json.Marshal(b)
	a.body = *bytes.NewBuffer(text)
}

func (a *answered) rewrite(what *regexp.Regexp, by string) {
	a.body = *bytes.NewBuffer(what.ReplaceAll(a.body.Bytes(), []byte(by)))
}

// refuse answers a page with another status, and no page at all if the request is for none, or for the survey.
func (a *answered) refuse(r *http.Request, status int) bool {
	if strings.HasPrefix(r.URL.Path, "/internal") || !r.URL.Query().Has("cursor") {
		return false
	}
	a.status, a.body = status, *bytes.NewBufferString(`{"error":"x","message":"x","code":"X"}`)
	return true
}

// once tampers until it has done so once.
func once(do func(*http.Request, *answered) bool) func(*simulation, *process, *http.Request, *answered) {
	done := false
	return func(_ *simulation, _ *process, r *http.Request, a *answered) { done = done || do(r, a) }
}

func thinFirst() func(*simulation, *process, *http.Request, *answered) {
	done := false
	return func(s *simulation, _ *process, _ *http.Request, a *answered) {
		if done || !bytes.Contains(a.body.Bytes(), []byte(`"hasMore":false`)) {
			return
		}
		a.edit(func(_ body, records []json.RawMessage) []json.RawMessage {
			done = len(records) > 5
			if done {
				s.forgive(func(r *record) bool {
					return r.at >= shard.InstantOf(timeOf(records[3])) && r.at <= shard.InstantOf(timeOf(records[2]))
				})
				records = slices.Delete(records, 2, 4)
			}
			return records
		})
	}
}

// hideNewest keeps half of the events after the history from the second job's sync.
func hideNewest(s *simulation, p *process, _ *http.Request, a *answered) {
	if p.job != jobB || p.do != syncOnce {
		return
	}
	s.forgive(func(r *record) bool { return r.arrives.After(epoch) })
	a.edit(func(_ body, records []json.RawMessage) []json.RawMessage {
		return slices.DeleteFunc(records, func(r json.RawMessage) bool { return timeOf(r).After(epoch) && timeOf(r).Second()%2 == 0 })
	})
}

// hideTwo keeps two events from the first process, and one of them from the second.
func hideTwo(s *simulation, p *process, _ *http.Request, a *answered) { s.hide(a, max(0, 3-p.number)) }

// hideAtFirst keeps an event from the first answers, as many as the first load asks for.
func hideAtFirst(s *simulation, _ *process, _ *http.Request, a *answered) {
	if time.Since(epoch) < 15*time.Second {
		s.hide(a, 1)
	}
}

func endEarly(s *simulation, p *process, _ *http.Request, a *answered) {
	if p.number < 3 {
		s.hide(a, 1)
	}
	if p.number != 2 {
		return
	}
	middle := epoch.Add(-12 * time.Hour)
	over := false
	a.edit(func(_ body, records []json.RawMessage) []json.RawMessage {
		kept := slices.DeleteFunc(slices.Clone(records), func(r json.RawMessage) bool { return timeOf(r).Before(middle) })
		over = len(kept) < len(records)
		return kept
	})
	if over {
		a.rewrite(regexp.MustCompile(`"hasMore":true`), `"hasMore":false`)
	}
}

// hide takes n of the newest events out of an answer.
func (s *simulation) hide(a *answered, n int) {
	s.mu.Lock()
	hidden := s.truth.records[len(s.truth.records)-8:][:n]
	s.mu.Unlock()
	s.forgive(func(r *record) bool {
		return slices.ContainsFunc(hidden, func(h record) bool { return h.Key == r.Key })
	})
	a.edit(func(_ body, records []json.RawMessage) []json.RawMessage {
		return slices.DeleteFunc(records, func(raw json.RawMessage) bool {
			return slices.ContainsFunc(hidden, func(h record) bool { return bytes.Contains(raw, []byte(h.Key.ID.String())) })
		})
	})
}

// timeOf reads a record's timestamp, whatever its form.
func timeOf(raw json.RawMessage) time.Time {
	var r struct {
		Timestamp any `json:"timestamp"`
	}
	_ = json.Unmarshal(raw, &r)
	switch at := r.Timestamp.(type) {
	case float64:
		return time.UnixMilli(int64(at))
	case string:
		t, _ := time.Parse(time.RFC3339, at)
		return t
	}
	return time.Time{}
}

func countMore(_ *simulation, p *process, _ *http.Request, a *answered) {
	if p.do != follow {
		return
	}
	a.edit(func(b body, records []json.RawMessage) []json.RawMessage {
		var meta map[string]any
		if json.Unmarshal(b["meta"], &meta) == nil {
			meta["total"] = meta["total"].(float64) + 300
			b["meta"], _ = json.Marshal(meta)
		}
		return records
	})
}

// cursorsOfOthers answers 404 to cursors that another process was given.
func cursorsOfOthers() func(*simulation, *process, *http.Request, *answered) {
	given := map[string]int{}
	next := regexp.MustCompile(`"nextCursor":"([^"]*)"`)
	return func(_ *simulation, p *process, r *http.Request, a *answered) {
		if owner, ok := given[r.URL.Query().Get("cursor")]; ok && owner != p.number {
			a.status, a.body = http.StatusNotFound, *bytes.NewBufferString(`{"error":"x","message":"x","code":"X"}`)
			return
		}
		if m := next.FindSubmatch(a.body.Bytes()); m != nil {
			if _, ok := given[string(m[1])]; !ok {
				given[string(m[1])] = p.number
			}
		}
	}
}

func truncate(s *simulation, t *memstore.Tables) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Delete(func(e *memstore.Event) bool {
		s.gone[e.ID] = time.Now()
		return true
	})
}

func failOver(s *simulation, t *memstore.Tables) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*t = s.moments[0].Snapshot()
}

func foreignRow(s *simulation, t *memstore.Tables) {
	id := uuid.MustParse("00000000-0000-4000-8000-000000000001")
	t.Events[id] = &memstore.Event{Event: shard.Event{ID: id, At: shard.InstantOf(s.api.Newest.Add(-time.Hour)), Properties: "{}"}}
}

// otherSource serves another data set from now on.
func otherSource(s *simulation, _ *memstore.Tables) {
	c := s.api
	c.Seed++
	s.replace(s.serve(c), true)
}

// sourceBack serves the data set of the scenario again.
func sourceBack(s *simulation, _ *memstore.Tables) { s.replace(s.serve(s.api), false) }

func (s *simulation) replace(server *apisim.Server, foreign bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server, s.foreign = server, foreign
}

// totalOf is a kind of total that an API may give, made of the right one.
type totalOf func(s *simulation, r *http.Request, right float64) (total float64, given bool)

func capped(s *simulation, _ *http.Request, right float64) (float64, bool) {
	return min(right, math.Floor(float64(s.api.Events)/20)*10), true
}
func high(_ *simulation, _ *http.Request, right float64) (float64, bool) {
	return math.Ceil(1.03 * right), true
}
func low(_ *simulation, _ *http.Request, right float64) (float64, bool) {
	return math.Floor(0.97 * right), true
}
func missing(*simulation, *http.Request, float64) (float64, bool) { return 0, false }
func filtered(s *simulation, r *http.Request, right float64) (float64, bool) {
	until, err := strconv.ParseInt(r.URL.Query().Get("until"), 10, 64)
	if err != nil {
		return right, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	newer := 0
	for i := range s.truth.records {
		if s.truth.records[i].AtMS > until {
			newer++
		}
	}
	return right - float64(newer), true
}

// flickering is another number in every answer.
func flickering(s *simulation, _ *http.Request, right float64) (float64, bool) {
	return math.Floor(right * (0.9 + 0.2*float64(s.served.Load()%7)/6)), true
}

// retotal writes another total into an answer.
func (a *answered) retotal(s *simulation, r *http.Request) {
	a.edit(func(b body, records []json.RawMessage) []json.RawMessage {
		var meta map[string]any
		right, ok := 0.0, false
		if json.Unmarshal(b["meta"], &meta) == nil {
			right, ok = meta["total"].(float64)
		}
		if total, given := s.total(s, r, right); ok && given {
			meta["total"] = total
		} else {
			delete(meta, "total")
		}
		b["meta"], _ = json.Marshal(meta)
		return records
	})
}
