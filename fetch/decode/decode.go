// Package decode turns the JSON of an API's pages into events.
//
// Every record of a page becomes an event that every column of the table accepts, or a reject that keeps its bytes and says why: a
// record is never dropped, never repaired, and never costs its neighbours. Decoder.Page has three ways to read, from fast to careful.
// Records in the API's own form are read byte by byte (ordinary.go); all other sound JSON by a strict parser (record.go); a page that
// is not sound JSON is first split into records, each of which is then read by itself (split.go).
package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sluice/shard"
)

// MaxCursor is the maximum length of a cursor, in bytes. The API's own have 120.
const MaxCursor = 8 << 10

// Page is a decoded answer.
type Page struct {
	Events   []shard.Event
	Rejects  []shard.Reject
	Unknown  map[string]int // top-level fields of records that are not stored, by name, and how many records have them
	envelope envelope
}

// Received returns how many records the page holds.
func (p *Page) Received() int { return len(p.Events) + len(p.Rejects) }

// More reports whether the API has records that follow.
func (p *Page) More() bool { return *p.envelope.more() }

// Cursor returns the cursor of the next page; empty if there is none.
func (p *Page) Cursor() string { return p.envelope.cursor() }

// longestCursorLife caps what the API says of the life of a cursor.
const longestCursorLife = 24 * time.Hour

// CursorLife returns how long the cursor lives from when the answer was made, and false if the API does not say.
func (p *Page) CursorLife() (time.Duration, bool) {
	seconds, ok := Number(p.envelope.nested().ExpiresInS)
	return time.Duration(min(max(seconds, 0), longestCursorLife.Seconds()) * float64(time.Second)), ok
}

// Limit returns how many records the API grants a page; 0 if it does not say.
func (p *Page) Limit() int {
	n, _ := count(p.envelope.nested().Limit)
	return int(min(n, 1<<30))
}

// Total returns how many events the API has, and false if it does not say.
func (p *Page) Total() (int64, bool) { return count(p.envelope.meta().Total) }

// envelope is the JSON around the records. Both forms of the API are accepted: nested as served, flat as documented. What a page can
// do without may have any type: what cannot be read counts as absent.
type envelope struct {
	More       *bool          `json:"hasMore"`
	Cursor     *string        `json:"nextCursor"`
	Pagination *pagination    `json:"pagination"`
	Meta       jsontext.Value `json:"meta"`
	Error      jsontext.Value `json:"error"`
}

type pagination struct {
	More       *bool          `json:"hasMore"`
	Cursor     *string        `json:"nextCursor"`
	Limit      jsontext.Value `json:"limit"`
	ExpiresInS jsontext.Value `json:"cursorExpiresIn"`
}

type meta struct {
	Total    jsontext.Value `json:"total"`
	Returned jsontext.Value `json:"returned"`
}

func (e *envelope) nested() (p pagination) {
	if e.Pagination != nil {
		return *e.Pagination
	}
	return p
}

func (e *envelope) meta() (m meta) {
	_ = json.Unmarshal(e.Meta, &m)
	return m
}

// Number reads a number that an API may write as a number or as a string.
func Number(v jsontext.Value) (float64, bool) {
	text := strings.Trim(string(v), `" `)
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil && isNumber(text)
}

// count reads a number of things.
func count(v jsontext.Value) (int64, bool) {
	n, ok := Number(v)
	if !ok || n < 0 || n > 1<<53 || n != math.Trunc(n) {
		return 0, false
	}
	return int64(n), true
}

// ErrNoPage means that the answer is not a page at all, but null, for instance, or a load balancer's HTML with status 200.
var ErrNoPage = errors.New("the answer is not a page of events")

// Decoder turns answers into events. Reuse it from page to page, for its memory and its interned strings. It is not safe for
// concurrent use.
type Decoder struct {
	MaxRecords int // that a page may have

	json     jsontext.Decoder
	strings  map[string]string // values that recur, such as types and browsers
	sound    map[string]string // properties that recur and that jsonb accepts
	unquoted []byte
	unknown  map[string]int
	envelope []byte

	// Of the ordinary records.
	names    texts
	date     [12]byte // the head of a timestamp whose day began at midnight
	midnight shard.Instant
}

// New returns a Decoder that takes SpareRecords a page.
func New() *Decoder {
	return &Decoder{MaxRecords: SpareRecords, strings: make(map[string]string), sound: make(map[string]string)}
}

// maxInterned is how many strings are kept. If there were more, they would not recur.
const maxInterned = 4096

// intern returns b as a string, the same one for the same bytes.
func intern(strings map[string]string, b []byte) string {
	if s, ok := strings[string(b)]; ok {
		return s
	}
	if len(strings) >= maxInterned {
		clear(strings)
	}
	s := string(b)
	strings[s] = s
	return s
}

// SpareRecords is by how many records a page may exceed the number that was requested. A record can be much larger in memory than in
// the body: 16 MiB of "{}," would become 1.8 GiB of rejects.
const SpareRecords = 50_000

// ErrTooMany means that a page has more records than MaxRecords.
var ErrTooMany = errors.New("it has more records than a page may have")

// Page decodes a whole body, received from the given endpoint. The body is read in one strict pass; if that fails, it is split into
// records first, so that one bad record is one reject. The error is ErrNoPage, ErrTooMany or ErrUnbalanced, or that of the JSON around
// the records. Nothing in the page points into raw.
func (d *Decoder) Page(raw []byte, from shard.Endpoint) (*Page, error) {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	d.unknown = nil
	b, err := d.straight(raw)
	if err != nil && !errors.Is(err, ErrTooMany) {
		d.unknown = nil // the second pass counts them again
		b, err = d.split(raw)
	}
	if err != nil {
		return nil, err
	}
	for i := range b.Rejects {
		b.Rejects[i].Endpoint = from
	}
	b.Unknown = d.unknown
	return b, b.envelope.check(b.Received())
}

// straight decodes a body in one pass. It fails on the first syntax error, also inside a record.
func (d *Decoder) straight(raw []byte) (*Page, error) {
	d.json.Reset(bytes.NewBuffer(raw))
	b := &Page{}
	first, err := d.seekRecords()
	if err != nil {
		return nil, err
	}
	b.Events = make([]shard.Event, 0, min(len(raw)/300+1, 100_000))
	last, err := d.records(b, raw, int(first))
	if err != nil {
		return nil, err
	}
	return b, d.readEnvelope(&b.envelope, raw, first, int64(last))
}

// records reads the array of records, whose first byte after the bracket is at offset at, and returns the offset after it.
func (d *Decoder) records(b *Page, raw []byte, at int) (last int, err error) {
	if at = skipSpace(raw, at); at < len(raw) && raw[at] == ']' {
		return at + 1, nil
	}
	for {
		if b.Received() == d.MaxRecords {
			return 0, ErrTooMany
		}
		size, err := d.next(b, raw[at:])
		if err != nil {
			return 0, err
		}
		switch at = skipSpace(raw, at+size); {
		case at == len(raw):
			return 0, io.ErrUnexpectedEOF
		case raw[at] == ']':
			return at + 1, nil
		case raw[at] != ',':
			return 0, fmt.Errorf("%w: a record is followed by %q", ErrNoPage, raw[at])
		}
		at = skipSpace(raw, at+1)
	}
}

// next reads the record at the head of raw, and returns its length.
func (d *Decoder) next(b *Page, raw []byte) (int, error) {
	b.Events = append(b.Events, shard.Event{})
	if size := d.ordinary(&b.Events[len(b.Events)-1], raw); size > 0 {
		return size, nil
	}
	b.Events = b.Events[:len(b.Events)-1]
	d.json.Reset(bytes.NewBuffer(raw))
	err := d.record(b, raw)
	return int(d.json.InputOffset()), err
}

// skipSpace returns the offset of the first byte that is not JSON white space.
func skipSpace(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\t' || raw[at] == '\n' || raw[at] == '\r') {
		at++
	}
	return at
}

// seekRecords reads up to the array of records, and returns the offset after its bracket.
func (d *Decoder) seekRecords() (first int64, err error) {
	if kind := d.json.PeekKind(); kind != '{' {
		return 0, fmt.Errorf("%w: it begins with %q", ErrNoPage, kind)
	}
	if _, err := d.json.ReadToken(); err != nil {
		return 0, err
	}
	for d.json.PeekKind() == '"' {
		name, err := d.json.ReadValue()
		if err != nil {
			return 0, err
		}
		if string(name) != `"data"` {
			if err := d.json.SkipValue(); err != nil {
				return 0, err
			}
			continue
		}
		if kind := d.json.PeekKind(); kind != '[' {
			return 0, fmt.Errorf("%w: data is %q, not an array", ErrNoPage, kind)
		}
		_, err = d.json.ReadToken()
		return d.json.InputOffset(), err
	}
	return 0, fmt.Errorf("%w: it has no data", ErrNoPage)
}

// readEnvelope decodes the JSON around the records, which are raw[first:last], closing bracket included. It reads to the end of the body:
// a reader that stops at the last brace would accept a body with something after it.
func (d *Decoder) readEnvelope(e *envelope, raw []byte, first, last int64) error {
	d.envelope = append(d.envelope[:0], raw[:first]...)
	d.envelope = append(d.envelope, ']')
	d.envelope = append(d.envelope, raw[last:]...)
	if err := json.Unmarshal(d.envelope, e); err != nil {
		return fmt.Errorf("read the envelope: %w", err)
	}
	return nil
}

// check compares the page with what its envelope says.
func (e *envelope) check(received int) error {
	returned, told := count(e.meta().Returned)
	switch {
	case !isNothing(e.Error):
		return fmt.Errorf("%w: it carries the error %.200q", ErrNoPage, string(e.Error))
	case e.more() == nil:
		return fmt.Errorf("%w: hasMore is missing", ErrNoPage)
	case len(e.cursor()) > MaxCursor:
		return fmt.Errorf("%w: its cursor has %d bytes", ErrNoPage, len(e.cursor()))
	case told && returned != int64(received):
		return fmt.Errorf("%w: it announces %d records and has %d", ErrNoPage, returned, received)
	}
	return nil
}

// isNothing reports whether a value says that there is none.
func isNothing(v jsontext.Value) bool {
	return slices.Contains([]string{"", "null", "false", `""`, "{}", "[]"}, string(v))
}

func (e *envelope) more() *bool {
	if e.Pagination != nil {
		return e.Pagination.More
	}
	return e.More
}

func (e *envelope) cursor() string {
	next := e.Cursor
	if e.Pagination != nil {
		next = e.Pagination.Cursor
	}
	if next == nil {
		return ""
	}
	return *next
}
