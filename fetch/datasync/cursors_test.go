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

	"sluice/shard"
)

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
	if a.asked++; a.asked > 1000 { // somebody walks in a circle
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
			Source: w.Client, Sink: s, From: s.row, Budget: shard.NewBudget(1 << 30), Stats: &shard.Stats{}, Log: w.log,
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
