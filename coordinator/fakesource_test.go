package coordinator_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"sluice/shard"
)

// beat is the time from one event of a history to the next.
const beat = shard.Instant(1e6)

// history is an API whose event k, of 0 to Events-1, happened at k beats. It serves them newest first, and honours cursors
// and, unless it is FromTop, timestamps. It adds no waits of its own, so that every wait seen in a test is the
// coordinator's.
type history struct {
	Events  int
	Page    int
	Latency time.Duration
	Scarce  bool                        // the latency is a wait for quota
	FromTop bool                        // cannot be asked by timestamp
	Cached  bool                        // marks every answer as coming from the cache
	Forgets bool                        // lacks the record to resume after
	Bad     func(k int) bool            // record k is malformed
	Answer  func(r request) (err error) // called before each page; an error ends the walk

	mu           sync.Mutex
	active, peak int
	requests     []request
	served       map[int]bool // events handed out to the shard whose window they lie in
}

// request is a request for one page.
type request struct {
	at     time.Time
	place  shard.Position
	number int // of the page in its walk, from 0
}

// errNoPlace means a cursor that this history never gave.
var errNoPlace = errors.New("no such cursor")

func (h *history) Pages(ctx context.Context, from shard.Position) iter.Seq2[shard.Page, error] {
	return func(yield func(shard.Page, error) bool) {
		h.enter()
		defer h.leave()
		next, start, err := h.locate(from)
		limit := max(1, h.Page-from.Vary)
		for n := 0; err == nil; n++ {
			if err = h.ask(ctx, request{place: from, number: n}); err != nil {
				break
			}
			page := h.read(next, limit)
			page.Start = start
			if h.Forgets {
				page.Events = slices.DeleteFunc(page.Events, func(e shard.Event) bool { return e.ID == from.Resume.ID })
				page.Received = len(page.Events)
			}
			h.serve(from, &page)
			if !yield(page, nil) || !page.More {
				return
			}
			next, limit, start = next-limit, h.Page, shard.ByCursor
		}
		yield(shard.Page{}, err)
	}
}

// locate returns the newest event to serve.
func (h *history) locate(from shard.Position) (int, shard.Start, error) {
	cursor := from.Cursor
	if cursor == "" && h.FromTop {
		cursor = from.Previous
	}
	if cursor != "" {
		next, err := strconv.Atoi(cursor)
		if err != nil {
			return 0, 0, errNoPlace
		}
		return next, shard.ByCursor, nil
	}
	until, bounded := from.Until()
	if h.FromTop || !bounded {
		return h.Events - 1, shard.FromTop, nil
	}
	next := int((shard.Instant(until*1000) - 1) / beat)
	return min(next, h.Events-1), shard.ByUntil, nil
}

func (h *history) ask(ctx context.Context, r request) error {
	if h.Scarce {
		shard.EnterPhase(ctx, shard.Pacing)
	}
	if err := shard.Sleep(ctx, h.Latency); err != nil {
		return err
	}
	shard.EnterPhase(ctx, shard.Fetching)
	r.at = time.Now()
	h.mu.Lock()
	h.requests = append(h.requests, r)
	h.mu.Unlock()
	if h.Answer == nil {
		return nil
	}
	return h.Answer(r)
}

func (h *history) read(next, limit int) shard.Page {
	page := shard.Page{Endpoint: "list", Bytes: 400 * limit, Cached: h.Cached}
	for k := next; k >= 0 && k > next-limit; k-- {
		page.Received++
		if h.Bad != nil && h.Bad(k) {
			raw := []byte(strconv.Itoa(k))
			page.Rejects = append(page.Rejects, shard.Reject{Raw: raw, RawBytes: len(raw), SHA256: sha256.Sum256(raw), Reason: "bad"})
			continue
		}
		page.Events = append(page.Events, event(k))
	}
	if next >= limit {
		page.More, page.Cursor = true, strconv.Itoa(next-limit)
	}
	return page
}

func (h *history) serve(from shard.Position, page *shard.Page) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.served == nil {
		h.served = map[int]bool{}
	}
	for _, e := range page.Events {
		if e.At < from.End && e.At >= from.End-perShard*beat {
			h.served[numberOf(e.ID)] = true
		}
	}
}

func event(k int) shard.Event {
	e := shard.Event{At: shard.Instant(k) * beat, Type: "click", Properties: "{}"}
	binary.BigEndian.PutUint64(e.ID[8:], uint64(k)+1)
	return e
}

// numberOf is the k of an event's id.
func numberOf(id uuid.UUID) int { return int(binary.BigEndian.Uint64(id[8:])) - 1 }

func (h *history) enter() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.active++
	h.peak = max(h.peak, h.active)
}

func (h *history) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.active--
}

// asked returns all requests so far.
func (h *history) asked() []request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.requests)
}
