package datasync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/fetch/apisim"
	"sluice/fetch/quota"
	"sluice/shard"
)

func TestWalkFromTheTopReadsEverythingInOrder(t *testing.T) {
	for name, api := range map[string]apisim.Config{
		"nested":     {Events: 1234},
		"flat":       {Events: 1234, Flat: true},
		"gzip":       {Events: 1234, Gzip: true},
		"opaque":     {Events: 1234, Opaque: true},
		"one page":   {Events: 100},
		"ties":       {Events: 1234, PageCap: 137, Ties: []apisim.Tie{{Events: 700, At: time.UnixMilli(1768000000000)}}},
		"full pages": {Events: 1200},
		"one event":  {Events: 1},
		"empty":      {Events: apisim.None},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{api: api, caps: both}, func(w *world) {
				pages := w.must(w.walk(top, forever))
				w.wantEvents(pages, w.truth())
				if last := pages[len(pages)-1]; last.More || last.Cursor != "" || pages[0].Start != shard.FromTop {
					t.Errorf("first page %v, last page more %t, cursor %q", pages[0].Start, last.More, last.Cursor)
				}
				for i, p := range pages[1:] {
					if p.Start != shard.ByCursor || p.Received != len(p.Events) || p.Bytes == 0 {
						t.Errorf("page %d: start %v, received %d of %d events, %d bytes", i+1, p.Start, p.Received, len(p.Events), p.Bytes)
					}
				}
			})
		})
	}
}

// A confirming read must not be answered from the cache: it is Vary records shorter, whatever the page size is.
func TestVaryChangesTheRequest(t *testing.T) {
	for name, api := range map[string]apisim.Config{
		"nested": {Events: 500, CacheLife: time.Minute},
		"flat":   {Events: 500, CacheLife: time.Minute, Flat: true},
		"small":  {Events: 5, PageCap: 3, CacheLife: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{api: api, caps: Capabilities{PageSize: 3}}, func(w *world) {
				for vary := range 3 {
					if page := w.must(w.walk(shard.Position{End: shard.Future, Vary: vary}, 1))[0]; page.Cached {
						t.Errorf("vary %d was answered from the cache", vary)
					}
				}
				if again := w.must(w.walk(top, 1))[0]; !again.Cached {
					t.Error("the same request again did not come from the cache")
				}
				if queries := w.queries(apisim.List); !slices.Equal(queries, []string{"limit=3", "limit=2", "limit=1", "limit=3"}) {
					t.Errorf("asked %s", queries)
				}
			})
		})
	}
}

// Only the first page differs: those after it are asked for in full.
func TestVaryIsForTheFirstPageOnly(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 500}, caps: listOnly}, func(w *world) {
		pages := w.must(w.walk(shard.Position{End: shard.Future, Vary: 7}, 2))
		if len(pages[0].Events) != 93 || len(pages[1].Events) != 100 {
			t.Errorf("pages of %d and %d events", len(pages[0].Events), len(pages[1].Events))
		}
	})
}

// An API that gives smaller pages later on than it did at first is asked for as many as before, so that one odd answer does
// not make all pages small; but what must differ has to differ below what it gives now.
func TestVaryFollowsAShrinkingPage(t *testing.T) {
	for name, flat := range map[string]bool{"nested": false, "flat": true} {
		t.Run(name, func(t *testing.T) {
			caps := Capabilities{PageSize: 400}
			play(t, scene{api: apisim.Config{Events: 1000, PageCap: 50, Flat: flat}, caps: caps}, func(w *world) {
				w.must(w.walk(top, 1))
				varied := w.must(w.walk(shard.Position{End: shard.Future, Vary: 1}, 2))
				if len(varied[0].Events) != 49 || len(varied[1].Events) != 50 {
					t.Errorf("pages of %d and %d events", len(varied[0].Events), len(varied[1].Events))
				}
			})
		})
	}
}

func TestLargeResponseBecomesPieces(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 23_000, PageCap: 12_000}}, func(w *world) {
		pages := w.must(w.walk(top, forever))
		w.wantEvents(pages, w.truth())
		var sizes, rests []int
		for _, p := range pages {
			sizes, rests = append(sizes, len(p.Events)), append(rests, p.Rest)
			if (p.Rest > 0) != (p.Cursor == "") && p.More {
				t.Errorf("a page with %d pieces to follow has the cursor %q", p.Rest, p.Cursor)
			}
		}
		if want := []int{5000, 5000, 2000, 5000, 5000, 1000}; !slices.Equal(sizes, want) {
			t.Errorf("pieces of %v, want %v", sizes, want)
		}
		if want := []int{2, 1, 0, 2, 1, 0}; !slices.Equal(rests, want) {
			t.Errorf("pieces to follow %v, want %v", rests, want)
		}
		if n := w.counts(apisim.List).Requests; n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

// The iterator may be left at any page: nothing runs on (the bubble would not end), no quota is held, and the connection is kept for
// the next walk.
func TestBreakLeavesNothingBehind(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 1000}, caps: both}, func(w *world) {
		for most := 1; most <= 10; most++ {
			pages := w.must(w.walk(shard.Position{End: w.truth()[0].At + 1}, most))
			if len(pages) != most {
				t.Fatalf("%d pages, want %d", len(pages), most)
			}
		}
		if n := w.pipe.dialed.Load(); n != 1 {
			t.Errorf("%d connections for one fetcher", n)
		}
	})
}

// A refusal for lack of quota is no fault: it is waited out inside the walk, and the next page is the one that was asked for.
func TestARefusalForWantOfQuotaIsWaitedOut(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 500}, caps: listOnly}, func(w *world) {
		w.sim.Script(apisim.List, apisim.Behave(), apisim.Limited(3*time.Second), apisim.Behave())
		w.wantEvents(w.must(w.walk(top, forever)), w.truth())
		if n, tried := w.counts(apisim.List).Limited, w.Traffic().Retries; n != 1 || tried != 0 {
			t.Errorf("%d refusals, %d tries after a fault", n, tried)
		}
	})
}

// A cursor that dies while its walk waits for quota must not cost a request.
func TestACursorThatDiesInTheLineAsksNothing(t *testing.T) {
	pacer := quota.Config{Quotas: Quotas(quota.Limit{N: 1, Window: time.Minute}, quota.Limit{N: quota.Unlimited})}
	play(t, scene{api: apisim.Config{Events: 500}, caps: listOnly, pacer: pacer}, func(w *world) {
		page := w.must(w.walk(top, 1))[0]
		expires := time.Now().Add(10 * time.Second)
		_, err := w.walk(shard.Position{End: shard.Future, Cursor: page.Cursor, CursorExpires: expires}, 1)
		if !errors.Is(err, shard.ErrCursorDead) {
			t.Errorf("got %v", err)
		}
		if n := w.counts(apisim.List).Requests; n != 1 {
			t.Errorf("%d requests were sent", n)
		}
	})
}

// A storm in which every second request is refused loses nothing, ends, and is not answered with a storm.
func TestStormOf429s(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 3000, CursorLife: time.Hour}, caps: listOnly, pacer: quota.Config{Quotas: Quotas(quota.Limit{}, quota.Limit{N: quota.Unlimited})}}, func(w *world) {
		for range 15 {
			w.sim.Script(apisim.List, apisim.Limited(5*time.Second), apisim.Behave())
		}
		w.wantEvents(w.must(w.walk(top, forever)), w.truth())
		if n := w.counts(apisim.List).Requests; n != 30+15 {
			w.t.Errorf("%d requests for 30 pages and 15 refusals", n)
		}
	})
}

// paged is an API with 60 events, a second apart and newest first, in pages of ten, whose list can be asked by timestamp. bend
// changes what it serves.
type paged struct {
	bend  func(request int, p *served)
	asked int
}

// served is a page before it is written: that which begins at an event.
type served struct {
	at, cursor int // of the first event, and what the request named
	events     []int
	more       bool
	next       *string
}

const pagedEvents, pagedSize = 60, 10

// pagedNewest is the time of event 0, in epoch milliseconds.
const pagedNewest = 1_769_541_612_000

func pagedID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", pagedEvents-n) }

func pagedRecord(n int) json.RawMessage {
	r := strings.Replace(soundRecord, "00000000-0000-4000-8000-000000000001", pagedID(n), 1)
	return json.RawMessage(strings.Replace(r, "1769541612369", strconv.Itoa(pagedNewest-1000*n), 1))
}

func (a *paged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.asked++; a.asked > 1000 { // the client walks in a circle
		panic(http.ErrAbortHandler)
	}
	p := served{cursor: -1}
	q := r.URL.Query()
	if c, ok := strings.CutPrefix(q.Get("cursor"), "at-"); ok {
		p.cursor, _ = strconv.Atoi(c)
		p.at = p.cursor
	} else if until, err := strconv.Atoi(q.Get("until")); err == nil {
		p.at = max(0, min(pagedEvents, (pagedNewest-until+999)/1000))
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	end := min(p.at+min(limit, pagedSize), pagedEvents)
	for n := p.at; n < end; n++ {
		p.events = append(p.events, n)
	}
	if p.more = end < pagedEvents; p.more {
		p.next = cursorTo(end)
	}
	if a.bend != nil {
		a.bend(a.asked, &p)
	}
	records := []json.RawMessage{}
	for _, n := range p.events {
		records = append(records, pagedRecord(n))
	}
	w.Header().Set("Content-Type", jsonType)
	_ = json.NewEncoder(w).Encode(map[string]any{"data": records, "pagination": map[string]any{
		"limit": pagedSize, "hasMore": p.more, "nextCursor": p.next,
	}})
}

func cursorTo(n int) *string { s := fmt.Sprintf("at-%d", n); return &s }

// rows is a table with a key, and the shard's row beside it.
type rows struct {
	mu   sync.Mutex
	row  shard.Checkpoint
	keys map[uuid.UUID]bool
}

func (s *rows) Commit(_ context.Context, b shard.Batch) (shard.Counts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := b.Seen
	for e := range b.Events() {
		if s.keys[e.ID] {
			n.Duplicates++
		} else {
			n.Events++
		}
		s.keys[e.ID] = true
	}
	n.DeadLetters += int64(len(b.Rejects))
	s.row.Seq, s.row.Counts = s.row.Seq+1, s.row.Counts.Add(n)
	s.row.Cursor, s.row.CursorExpires, s.row.Resume, s.row.Proof = b.Cursor, b.CursorExpires, b.Resume, b.Proof
	return n, nil
}

// load gives a shard attempts as the coordinator does, until it is done or what a fault allows is used up.
func (w *world) load(s *rows) error {
	for stuck, tries := 0, 0; ; tries++ {
		a := shard.Attempt{
			Source: w.Client, Sink: s, From: s.row, Budget: shard.NewBudget(1<<30, 0), Stats: &shard.Stats{}, Log: w.log,
		}
		err := a.Run(w.t.Context(), w.t.Context())
		var limit *shard.StuckError
		var passes *shard.TransientError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &limit):
			if stuck++; stuck >= limit.Limit {
				return w.said(err)
			}
		case !errors.As(err, &passes) || tries > 20:
			return w.said(err)
		}
		time.Sleep(time.Second)
	}
}

// An API whose pages lead in circles, nowhere, or to an end too early: either every event of the window is there and the end is
// proven, or the shard says why it cannot go on. It never asks without end, and never believes an end that was not one.
func TestPagesThatLeadAstray(t *testing.T) {
	once := func(request int, do func(*served)) func(int, *served) {
		return func(n int, p *served) {
			if n == request {
				do(p)
			}
		}
	}
	for name, c := range map[string]struct {
		bend  func(int, *served)
		fails bool // the shard ends with an error, and says so
		most  int  // requests
	}{
		"as it should be":        {nil, false, 8},
		"the same cursor once":   {once(3, func(p *served) { p.next = cursorTo(p.at) }), false, 12},
		"the same cursor always": {func(_ int, p *served) { p.more, p.next = true, cursorTo(p.at) }, true, 40},
		"a circle once":          {once(4, func(p *served) { p.next = cursorTo(10) }), false, 16},
		"a circle always": {func(_ int, p *served) {
			if p.at == 30 {
				p.next = cursorTo(10)
			}
		}, false, 40},
		"back to the top": {func(_ int, p *served) {
			if p.at == 50 {
				p.more, p.next = true, cursorTo(0)
			}
		}, false, 40},
		"a cursor without end":        {func(_ int, p *served) { p.more, p.next = true, cursorTo(p.at+pagedSize) }, true, 60},
		"an early end once":           {once(2, func(p *served) { p.more, p.next = false, nil }), false, 12},
		"an early end, with a cursor": {once(2, func(p *served) { p.more = false }), false, 12},
		"an early end, on no page":    {once(2, func(p *served) { p.events, p.more, p.next = nil, false, nil }), false, 12},
		"an end with a cursor": {func(_ int, p *served) {
			if !p.more {
				p.next = cursorTo(pagedEvents)
			}
		}, false, 10},
		"more, without a cursor": {once(3, func(p *served) { p.next = nil }), false, 12},
		"more, never a cursor":   {func(_ int, p *served) { p.more, p.next = true, nil }, true, 60},
		"empty pages with more": {func(n int, p *served) {
			if n > 2 && n < 7 {
				p.events, p.next = nil, cursorTo(p.at)
			}
		}, false, 16},
		"only empty pages": {func(n int, p *served) { p.events, p.more, p.next = nil, true, cursorTo(n) }, true, 60},
		"a page twice":     {once(3, func(p *served) { p.events = []int{10, 11, 12, 13, 14, 15, 16, 17, 18, 19} }), false, 20},
		"two swapped":      {func(_ int, p *served) { swap(p, 3, 4) }, false, 10},
		"the ends swapped": {func(_ int, p *served) { swap(p, 0, len(p.events)-1) }, false, 30},
		"events twice": {func(_ int, p *served) {
			p.events = append(p.events[:len(p.events):len(p.events)], p.events...)
			slices.Sort(p.events)
		}, false, 20},
		"a stranger in each page": {func(_ int, p *served) {
			if len(p.events) > 5 {
				p.events = append(p.events[:5:5], append([]int{59}, p.events[5:]...)...)
			}
		}, false, 10},
	} {
		t.Run(name, func(t *testing.T) {
			api := &paged{bend: c.bend}
			play(t, scene{caps: Capabilities{UntilList: true, PageSize: pagedSize}, answer: api.ServeHTTP}, func(w *world) {
				s := &rows{keys: map[uuid.UUID]bool{}, row: shard.Checkpoint{ID: 1, Window: shard.Window{Start: shard.Past, End: shard.Future}}}
				err := w.load(s)
				done, exact := err == nil && s.row.Proof != "", len(s.keys) == pagedEvents
				if done && !exact || done == c.fails || (err == nil) != done {
					w.t.Errorf("proof %q with %d of %d events, %v", s.row.Proof, len(s.keys), pagedEvents, err)
				}
				if api.asked > c.most {
					w.t.Errorf("%d requests, want at most %d", api.asked, c.most)
				}
			})
		})
	}
}

func swap(p *served, i, j int) {
	if j > 0 && j < len(p.events) {
		p.events[i], p.events[j] = p.events[j], p.events[i]
	}
}

// clocked loads the paged API in one attempt, and returns what its fetcher did in which time.
func (w *world) clocked() (shard.Spent, time.Duration) {
	w.t.Helper()
	clock := new(shard.Clock)
	s := &rows{row: shard.Checkpoint{ID: 1, Shard: 1, Window: shard.Window{Start: shard.Past, End: shard.Future}}, keys: map[uuid.UUID]bool{}}
	began := time.Now()
	clock.Enter(shard.Idle)
	a := shard.Attempt{
		Source: w.Client, Sink: s, From: s.row, Budget: shard.NewBudget(1<<30, 0), Stats: &shard.Stats{Clock: clock}, Log: w.log,
	}
	if err := w.said(a.Run(w.t.Context(), w.t.Context())); err != nil {
		w.t.Fatal(err)
	}
	return clock.Spent(), time.Since(began)
}

// A fetcher is fetching while a request is in flight, and pacing while none may be made.
func TestPhasesTellQuotaFromLatency(t *testing.T) {
	const latency = 2 * time.Second
	api := new(paged)
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(latency)
		api.ServeHTTP(w, r)
	}
	s := scene{answer: slow, caps: listOnly, pacer: quota.Config{Quotas: Quotas(quota.Limit{N: 1, Window: time.Minute}, quota.Limit{N: quota.Unlimited})}}
	play(t, s, func(w *world) {
		spent, took := w.clocked()
		if want := time.Duration(api.asked) * latency; spent[shard.Fetching] != want {
			t.Errorf("reading for %s, want %s for %d requests", spent[shard.Fetching], want, api.asked)
		}
		if rest := took - spent[shard.Fetching] - spent[shard.Pacing]; rest != 0 || spent[shard.Pacing] < time.Minute*time.Duration(api.asked-2) {
			t.Errorf("waiting for quota for %s of %s: %v", spent[shard.Pacing], took, spent)
		}
	})
}

// The pause before a retry is neither.
func TestPhasesTellPauses(t *testing.T) {
	api := &paged{bend: func(request int, _ *served) {
		if request == 2 || request == 3 {
			panic(http.ErrAbortHandler)
		}
	}}
	play(t, scene{answer: api.ServeHTTP, caps: listOnly}, func(w *world) {
		spent, took := w.clocked()
		if spent[shard.BackingOff] == 0 || spent[shard.BackingOff] != took-spent[shard.Fetching] {
			t.Errorf("paused for %s of %s: %v", spent[shard.BackingOff], took, spent)
		}
	})
}

// The run is paused in the middle of the second request, for an hour: that one is finished, none follows, and the third begins in
// the moment in which the pause ends. The time of the pause is neither fetching nor pacing.
func TestAShutGateEndsNoRequestAndBeginsNone(t *testing.T) {
	const latency, pause = 2 * time.Second, time.Hour
	api, gate := new(paged), new(shard.Pause)
	var begun []time.Duration
	start := time.Now()
	slow := func(w http.ResponseWriter, r *http.Request) {
		begun = append(begun, time.Since(start))
		time.Sleep(latency)
		api.ServeHTTP(w, r)
	}
	limits := unlimited
	limits.Pause = gate
	play(t, scene{answer: slow, caps: listOnly, pacer: limits}, func(w *world) {
		start = time.Now()
		time.AfterFunc(latency+latency/2, func() { gate.Toggle() })
		time.AfterFunc(latency+latency/2+pause, func() { gate.Toggle() })
		spent, took := w.clocked()
		if begun[1] != latency || begun[2] != latency+latency/2+pause {
			t.Errorf("requests began after %v", begun)
		}
		if want := pause - latency/2; spent[shard.Paused] != want || spent[shard.Pacing] != 0 {
			t.Errorf("held for %s, want %s; %v", spent[shard.Paused], want, spent)
		}
		if want := time.Duration(len(begun))*latency + pause - latency/2; took != want {
			t.Errorf("all took %s, want %s", took, want)
		}
	})
}

// A stop does not wait for the end of a pause.
func TestAStopPassesAShutGate(t *testing.T) {
	limits := unlimited
	limits.Pause = new(shard.Pause)
	play(t, scene{caps: listOnly, pacer: limits}, func(w *world) {
		limits.Pause.Toggle()
		stopped := errors.New("stopped by a test")
		ctx, stop := context.WithCancelCause(w.t.Context())
		time.AfterFunc(time.Minute, func() { stop(stopped) })
		start := time.Now()
		if _, err := w.walkWith(ctx, top, 1); !errors.Is(err, stopped) || time.Since(start) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}
