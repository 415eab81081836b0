package shard

import (
	"context"
	"iter"
	"time"
)

// Source serves the events of an API, page by page.
type Source interface {
	// Pages walks from a position towards the past until the API promises no more. A walk that ends for another reason yields
	// an error as its last pair: a TransientError if it may be tried again. The iterator does all its waiting (quota, request,
	// retries, reading, decoding) within a step, so that no quota is used for pages that are not consumed.
	Pages(ctx context.Context, from Position) iter.Seq2[Page, error]
}

// Endpoint names an endpoint of the API, as its quota does. The zero Endpoint means it is not known yet.
type Endpoint string

// Position is where reading continues. A live cursor leads there exactly; otherwise reading starts after the resume point, or
// if there is none, at the end of the window.
type Position struct {
	End           Instant // read what is older than this
	Resume        Key     // read what comes after this record; zero if nothing was read yet
	Cursor        string  // the API's own continuation; empty if there is none
	CursorExpires time.Time
	// Previous is the cursor that led to the page before the position. It is set for reading an end again, in case nothing
	// else leads there.
	Previous        string
	PreviousExpires time.Time
	// Slack is how far above the position a page is requested, because the API may have rounded the timestamp that it was
	// asked for.
	Slack time.Duration
	// Vary makes the request differ from earlier ones for the same position, because the API caches its answers, wrong ones
	// too: the first page requested is Vary records shorter.
	Vary int
}

// Until returns the position in epoch milliseconds, for endpoints that can be asked by timestamp; false if it is open to the
// future. It is rounded up just so far that nothing is lost whether the API takes `until` as inclusive or not.
func (p Position) Until() (int64, bool) {
	if !p.Resume.IsZero() && p.Resume.At < p.End {
		return p.Resume.At.Add(p.Slack).NextMilli(), true
	}
	if p.End == Future {
		return p.End.CeilMilli(), false
	}
	return p.End.Add(p.Slack).CeilMilli(), true
}

// Start says how the first page of a walk was requested, and so which records may stand before the position in it.
type Start uint8

// The ways to request a page.
const (
	ByCursor Start = iota // it follows the page before: nothing newer is expected
	ByUntil               // bounded by a timestamp: records of the position's own millisecond may stand before it
	FromTop               // from the newest record: everything newer than the position stands before it
)

// Page is what one request yields, in the API's order. The pieces of a large response are pages too; only the last of them
// has a cursor.
type Page struct {
	Events   []Event
	Rejects  []Reject
	Received int // records in the page: events and rejects

	Start         Start
	Cursor        string // leads on from the page; empty if the API gave none
	CursorExpires time.Time
	More          bool // the API promises more
	Rest          int  // pieces of the same response that follow this one
	Cached        bool // the API answered from its cache
	Endpoint      Endpoint
	Bytes         int // of the whole response, decompressed
}

// ends reports whether the API promises no more after the page.
func (p *Page) ends() bool { return !p.More && p.Rest == 0 }
