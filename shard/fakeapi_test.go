package shard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
)

// record is a record of the API: its true key, and the timestamp that it shows, which may be wrong.
type record struct {
	Key
	Shown Instant
	Bad   bool      // malformed: it arrives as a Reject
	Rival uuid.UUID // the id that it shows, if that is another record's
}

// event returns what the API shows of a record. Its session is the id that no other record has.
func (r record) event() Event {
	return Event{ID: cmp.Or(r.Rival, r.ID), At: r.Shown, Type: "click", Session: r.ID}
}

func (r record) reject() Reject {
	raw := []byte("malformed " + r.ID.String())
	return Reject{Raw: raw, RawBytes: len(raw), SHA256: sha256.Sum256(raw), Reason: "type"}
}

// idOf returns the same scattered id for the same number.
func idOf(n int) uuid.UUID { return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)) }

// sorted returns records in the API's order.
func sorted(records []record) []record {
	slices.SortFunc(records, func(a, b record) int { return compareKeys(a.Key, b.Key) })
	return records
}

func compareKeys(a, b Key) int {
	switch {
	case a.Before(b):
		return -1
	case b.Before(a):
		return 1
	}
	return 0
}

// untilMode says how the API reads `until`.
type untilMode int

const (
	untilExclusive untilMode = iota
	untilInclusive
	untilMillis  // inclusive, compared in whole milliseconds
	untilRefused // cursors only
)

// apiFaults are probabilities per request.
type apiFaults struct {
	Transient, EarlyEnd, EmptyMore, Duplicate, Cycle, CursorDies, Ignore float64

	LieTwice bool // an early end may be confirmed by another one
}

// api is a Source with a history of records: the API as one shard sees it.
type api struct {
	Records  []record
	Limit    int // records in a page
	Pieces   int // pages that a response becomes, at most
	Until    untilMode
	LeadWins bool // a leading cursor is preferred to a timestamp
	Latency  time.Duration
	TTL      time.Duration // of a cursor; 0 means for ever
	PageSize int           // bytes that a page claims to have
	Faults   apiFaults
	Rand     *rand.Rand
	Step     func() // called before each answer

	Asked    int
	Answered []request // without those from the cache
	Lies     int       // early ends since a record beyond them was served
	told     int       // early ends of all
	front    int       // the furthest position served
	lied     int       // that position at the last lie
	truths   int       // answers since then
	cache    map[request]cachedAnswer
	minted   int
}

// request is what the API is asked, and the key of its cache.
type request struct {
	start  Start
	until  int64
	cursor string
	limit  int
	door   int // endpoints and parameters that change only the cache's key
}

type answer struct {
	pos, n int // the records served: Records[pos:pos+n]
	again  int // index of a record of the page that comes twice, or one before the page; -1: none
	more   bool
	cursor string
	expire time.Time
	start  Start
}

type cachedAnswer struct {
	answer
	at time.Time
}

// position is what an opaque cursor stands for.
type position struct {
	pos    int
	nonce  int
	expire int64
}

func (p position) String() string { return fmt.Sprintf("%d/%d/%d", p.pos, p.nonce, p.expire) }

func parseCursor(s string) (p position) {
	if _, err := fmt.Sscanf(s, "%d/%d/%d", &p.pos, &p.nonce, &p.expire); err != nil {
		panic(fmt.Sprintf("cursor %q: %v", s, err))
	}
	return p
}

func (a *api) Pages(ctx context.Context, from Position) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		ask := a.first(from)
		for {
			got, cached, err := a.ask(ctx, ask)
			if err != nil {
				yield(Page{}, err)
				return
			}
			for _, p := range a.pages(got, cached) {
				if !sleep(ctx, time.Microsecond) {
					yield(Page{}, fmt.Errorf("decode: %w", ctx.Err()))
					return
				}
				if !yield(p, nil) {
					return
				}
			}
			if !got.more {
				return
			}
			ask = request{start: ByCursor, cursor: got.cursor, limit: a.Limit}
		}
	}
}

// first chooses how to request a position: exactly, if possible.
func (a *api) first(from Position) request {
	limit, door := a.Limit-from.Vary%a.Limit, from.Vary/a.Limit
	until, bounded := from.Until()
	bounded = bounded && a.Until != untilRefused
	switch {
	case from.Cursor != "":
		return request{start: ByCursor, cursor: from.Cursor, limit: limit, door: door}
	case from.Previous != "" && (a.LeadWins || !bounded):
		return request{start: ByCursor, cursor: from.Previous, limit: limit, door: door}
	case bounded:
		return request{start: ByUntil, until: until, limit: limit, door: door}
	}
	return request{start: FromTop, limit: limit, door: door}
}

var errNoEnd = errors.New("the API was asked far too often")

func (a *api) ask(ctx context.Context, r request) (answer, bool, error) {
	a.Asked++
	if a.Asked > 50_000 {
		return answer{}, false, errNoEnd
	}
	if a.Step != nil {
		a.Step()
	}
	if !sleep(ctx, a.Latency+time.Duration(a.Rand.IntN(1000))*time.Microsecond) {
		return answer{}, false, fmt.Errorf("get: %w", ctx.Err())
	}
	if a.hit(a.Faults.Transient) {
		return answer{}, false, &TransientError{Err: errors.New("503")}
	}
	if c, ok := a.cache[r]; ok && time.Since(c.at) < 30*time.Second {
		return c.answer, true, nil
	}
	pos, err := a.find(r)
	if err != nil {
		return answer{}, false, err
	}
	got := a.answer(pos, r)
	if a.cache == nil {
		a.cache = map[request]cachedAnswer{}
	}
	a.cache[r] = cachedAnswer{got, time.Now()}
	a.Answered = append(a.Answered, r)
	return got, false, nil
}

// find returns the position that a request asks for.
func (a *api) find(r request) (int, error) {
	if r.start != FromTop && a.hit(a.Faults.Ignore) {
		return 0, nil
	}
	switch r.start {
	case ByCursor:
		p := parseCursor(r.cursor)
		if p.expire != 0 && time.Now().UnixNano() > p.expire || a.hit(a.Faults.CursorDies) {
			return 0, ErrCursorDead
		}
		return p.pos, nil
	case ByUntil:
		return a.seek(r.until), nil
	}
	return 0, nil
}

func (a *api) seek(until int64) int {
	within := func(i Instant) bool { return i < Instant(until*1000) }
	switch a.Until {
	case untilInclusive:
		within = func(i Instant) bool { return i <= Instant(until*1000) }
	case untilMillis:
		within = func(i Instant) bool { return i < Instant(until*1000+1000) }
	}
	i := slices.IndexFunc(a.Records, func(r record) bool { return within(r.At) })
	if i < 0 {
		return len(a.Records)
	}
	return i
}

func (a *api) answer(pos int, r request) answer {
	got := answer{pos: pos, n: min(r.limit, len(a.Records)-pos), again: -1, start: r.start}
	got.more = pos+got.n < len(a.Records)
	next := pos + got.n
	switch {
	case got.more && a.mayLie() && a.hit(a.Faults.EarlyEnd):
		got.n = a.Rand.IntN(got.n + 1)
		got.more = false
		a.Lies++
		a.told++
		a.lied, a.truths = max(a.front, pos+got.n), 0
	case got.more && a.hit(a.Faults.EmptyMore):
		got.n, next = 0, pos
	case got.more && a.hit(a.Faults.Cycle):
		next = a.Rand.IntN(next)
	}
	if got.n > 0 && a.hit(a.Faults.Duplicate) {
		got.again = max(0, got.pos-1+a.Rand.IntN(got.n+1))
	}
	a.truths++
	if a.front = max(a.front, pos+got.n); a.front > a.lied && a.truths > 10 {
		a.Lies = 0
	}
	if got.more {
		got.cursor, got.expire = a.mint(next)
	}
	return got
}

// mayLie reports whether the API may claim a false end. A strict API does so once, then not for a while, and not until it has
// served a record beyond that end.
func (a *api) mayLie() bool { return a.Faults.LieTwice || a.Lies == 0 }

func (a *api) mint(pos int) (string, time.Time) {
	a.minted++
	p := position{pos: pos, nonce: a.minted}
	if a.TTL == 0 {
		return p.String(), time.Time{}
	}
	expire := time.Now().Add(a.TTL)
	p.expire = expire.UnixNano()
	return p.String(), expire
}

func (a *api) hit(p float64) bool { return p > 0 && a.Rand.Float64() < p }

// pages cuts an answer into pieces.
func (a *api) pages(got answer, cached bool) []Page {
	var served []record
	if got.again >= 0 && got.again < got.pos {
		served = append(served, a.Records[got.again])
	}
	for i := got.pos; i < got.pos+got.n; i++ {
		served = append(served, a.Records[i])
		if i == got.again {
			served = append(served, a.Records[i])
		}
	}
	pieces := max(1, min(a.Pieces, len(served)))
	all := make([]Event, 0, len(served)) // the pieces share their memory, as those of fetch do
	var pages []Page
	for k := range pieces {
		p := Page{Start: got.start, More: got.more, Rest: pieces - 1 - k, Cached: cached, Endpoint: "list",
			Bytes: cmp.Or(a.PageSize, 1000)}
		begin := len(all)
		for _, r := range served[len(served)*k/pieces : len(served)*(k+1)/pieces] {
			p.Received++
			if r.Bad {
				p.Rejects = append(p.Rejects, r.reject())
			} else {
				all = append(all, r.event())
			}
		}
		p.Events = all[begin:]
		if p.Rest == 0 {
			p.Cursor, p.CursorExpires = got.cursor, got.expire
		}
		pages = append(pages, p)
	}
	return pages
}

// sleep waits in virtual time, and reports whether ctx lasted.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
