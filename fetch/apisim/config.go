package apisim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The data set as the real API has it: its size and the times of its oldest and newest event, in epoch milliseconds.
const (
	realEvents = 3_000_000
	realOldest = 1766946793000
	realNewest = 1769541612369
)

// None as Config.Events asks for an API without a single event.
const None = -1

// Config says what is served and how. The zero value serves the real API's 3,000,000 events without limits, latency or
// cache, and with the defaults that api.md recommends for every disputed fact; Profile has the usual starting points. The
// fields of the first group change the data, and are named by Source; all others only change how they are served.
type Config struct {
	Seed   uint64    // decides every id, every attribute, every draw
	Events int64     // 3,000,000 by default; None for an empty API
	Oldest time.Time // of the oldest event, to the millisecond; default 2025-12-28T18:33:13Z
	Newest time.Time // of the newest event, to the millisecond; default 2026-01-27T19:20:12.369Z
	Live   Live      // what comes after the newest event, as the clock goes on; Oldest is then 30 days before Newest by default

	SkewShare      float64   // share of the events inside one hour, 0 to 1; default: no skew
	SkewStart      time.Time // when that hour begins; default: in the middle of the span
	Ties           []Tie     // groups of events in one millisecond
	WrongShare     float64   // share of the events served with a wrong timestamp, at their right place in the order
	MalformedShare float64   // share of the records that are malformed; see Malformation

	// Records are served byte for byte in place of those of some serials, whatever they hold. They are no part of the truth.
	Records map[int64][]byte

	List     Limit // of GET /api/v1/events and of an event by id
	Feed     Limit // of the stream; make it Hidden, as the real one is
	Sessions Limit
	Metrics  Limit
	Bulk     Limit

	FeedShared    bool       // the feed spends from the list's bucket
	Algorithm     Algorithm  // how the limits count; default SlidingAll
	QueryLimit    int        // the list's limit for a key in the URL; default: the list's own
	QuerySeparate bool       // a key in the URL has a bucket of its own
	FreeHits      bool       // answers from the cache do not count
	RetryAfter    RetryAfter // how a 429 says when to come back; default header and body

	PageCap     int // most events in a page; default 5000
	ListDefault int // events in a page of the list without a limit parameter; default 100
	FeedDefault int // the same at the feed; default 25

	Flat           bool      // flat bodies, as the task's documents have them, instead of nested ones
	Gzip           bool      // compress for clients that accept it
	Window         Window    // where since and until work; default WindowFeed
	SinceExclusive bool      // since means later than, instead of at or later than
	UntilExclusive bool      // until means earlier than, instead of at or earlier than
	Opaque         bool      // cursors are encrypted: nobody can make or read one
	CursorFault    BadCursor // the answer to a cursor that cannot be read; default BadCursor400
	ExpiredAs502   bool      // an expired cursor is answered 502 by the balancer, instead of 400
	Teapot         bool      // a cursor beyond the oldest event is answered 418, instead of with an empty page
	TotalError     int64     // added to meta.total, such as 3

	CursorLife time.Duration // default 120 s
	TokenLife  time.Duration // of the stream's token; default 300 s
	CacheLife  time.Duration // how long an answer is repeated; default: no cache

	Key             string        // the only key that is accepted; default: any
	KeyLife         time.Duration // from a key's first request; default: no end
	KeyRevokedAfter int64         // requests with a key, after which every key is refused; default: never
	Gate            Gate          // what stream access asks of a caller; default GateBrowser
	OpenStats       bool          // /internal/stats asks for no key
	BulkWorks       bool          // more than one id in a bulk request works, instead of 500

	Latency Latency
	Faults  Faults
}

// Tie puts a group of events into one millisecond, beside those that are there by chance.
type Tie struct {
	Events int64
	At     time.Time // to the millisecond, inside the span
}

// Limit is how many requests an endpoint takes from one key within a window.
type Limit struct {
	Requests int // 0: no limit
	Window   time.Duration
	Hidden   bool // no X-RateLimit headers; a 429 still has its body and Retry-After
}

// Source names the data that c serves, and nothing else of it: two simulators with the same source have the same events.
func (c Config) Source() string {
	c = c.withDefaults()
	name := []string{fmt.Sprintf("simulator:seed=%d", c.Seed), fmt.Sprintf("n=%d", max(c.Events, 0))}
	add := func(format string, args ...any) { name = append(name, fmt.Sprintf(format, args...)) }
	if oldest, newest := c.Oldest.UnixMilli(), c.Newest.UnixMilli(); oldest != realOldest || newest != realNewest {
		add("span=%d-%d", oldest, newest)
	}
	if c.SkewShare > 0 {
		add("skew=%s@%d", decimal(c.SkewShare), c.SkewStart.UnixMilli())
	}
	for _, tie := range c.Ties {
		add("tie=%d@%d", tie.Events, tie.At.UnixMilli())
	}
	if c.WrongShare > 0 {
		add("wrong=%s", decimal(c.WrongShare))
	}
	if c.MalformedShare > 0 {
		add("malformed=%s", decimal(c.MalformedShare))
	}
	if c.Live.Rate > 0 {
		add("%s", c.Live.source())
	}
	if len(c.Records) > 0 {
		add("records=%d", len(c.Records))
	}
	return strings.Join(name, ",")
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
