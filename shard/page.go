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
type Place struct {
	End           Instant // read what is older than this
	Resume        Key     // read what comes after this record; zero: nothing was read yet
	Cursor        string  // the API's own continuation, empty if there is none
	CursorExpires time.Time
	// Vary makes the request differ from an earlier one for the same place, because the API caches its answers, bad ones
	// too: the page asked for is Vary records shorter, and an odd one goes to the other endpoint where that is possible.
	Vary int
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
	Partial       bool // another piece of the same response follows
	Cached        bool // the API answered from its cache
	Endpoint      Endpoint
	Bytes         int           // length of the body, after decompression
	Took          time.Duration // from the request to the last byte
}
