package shard

import "time"

// Endpoint is one of the API's two doors.
type Endpoint uint8

// The two doors of the API. None stands for "not yet known".
const (
	None   Endpoint = iota
	List            // GET /api/v1/events
	Stream          // the token-guarded feed
)

func (e Endpoint) String() string { return [...]string{"none", "list", "stream"}[e] }

// Place is where reading goes on. A live cursor leads exactly; else reading starts after the resume point; else at the end
// of the window.
type Position struct {
	End           Instant // read what is older than this
	Resume        Key     // read what comes after this record; zero: nothing was read yet
	Cursor        string  // the API's own continuation, empty if there is none
	CursorExpires time.Time
	// Lead is the cursor that led to the page before the place. It is set to read an end again where neither a timestamp nor
	// anything else leads there.
	Previous        string
	PreviousExpires time.Time
	// Vary makes the request differ from an earlier one for the same place, because the API caches its answers, bad ones
	// too: the first page asked for is Vary records shorter.
	Vary int
}

// Until returns the place as epoch milliseconds, for endpoints that can be asked by timestamp; false if it is open to the
// future. It is rounded up so far that nothing is lost whether the API takes `until` as inclusive or not.
func (p Position) Until() (int64, bool) {
	if !p.Resume.IsZero() && p.Resume.At < p.End {
		return p.Resume.At.NextMilli(), true
	}
	return p.End.CeilMilli(), p.End != Future
}

// Start tells how the API was asked for a page, and so what may stand before the place in it.
type Start uint8

// The ways of asking for a page.
const (
	ByCursor Start = iota // follows the page before: nothing newer is expected
	ByUntil               // bounded by a timestamp: records of the place's own millisecond may stand before it
	FromTop               // from the newest record: everything newer than the place stands before it
)

// Page is what one request yields, in the API's order. The pieces of a large response are pages too; only the last of them
// has a cursor.
type Page struct {
	Events   []Event
	Rejects  []Reject
	Received int // records in the page: events and rejects

	Start         Start
	Cursor        string // after the page; empty if the API gave none
	CursorExpires time.Time
	More          bool // the API promises more
	Rest          int  // pieces of the same response that follow this one
	Cached        bool // the API answered from its cache
	Endpoint      Endpoint
	Bytes         int           // length of the whole response, after decompression
	Took          time.Duration // from the request to the last byte
}

// ends tells whether the API promises no more after the page.
func (p *Page) ends() bool { return !p.More && p.Rest == 0 }

// markOf returns what a page is known again by: its last event, or, where all of its records are malformed, the last of them.
func markOf(p *Page) (mark [16]byte) {
	switch {
	case len(p.Events) > 0:
		return p.Events[len(p.Events)-1].ID
	case len(p.Rejects) > 0:
		copy(mark[:], p.Rejects[len(p.Rejects)-1].SHA256[:])
	}
	return mark
}
