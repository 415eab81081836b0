package apisim

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
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

// None as Config.Events makes an API without a single event.
const None = -1

// Config describes the data and how it is served. The zero value serves the real API's 3,000,000 events without limits, latency or
// cache, and with the defaults that api.md recommends for every disputed fact; Profile has the usual starting points. The
// fields of the first group change the data, and are named by Source; all others only change how they are served.
type Config struct {
	Seed   uint64    // decides every id, every attribute, every draw
	Events int64     // 3,000,000 by default; None for an empty API
	Oldest time.Time // of the oldest event, to the millisecond; default 2025-12-28T18:33:13Z
	Newest time.Time // of the newest event, to the millisecond; default 2026-01-27T19:20:12.369Z
	Live   Live      // what comes after the newest event and what is deleted, as the clock goes on; Oldest is then 30 days before Newest by default

	SkewShare      float64   // share of the events inside one hour, 0 to 1; default: no skew
	SkewStart      time.Time // when that hour begins; default: in the middle of the span
	Ties           []Tie     // groups of events in one millisecond
	WrongShare     float64   // share of the events served with a wrong timestamp, at their right place in the order
	MalformedShare float64   // share of the records that are malformed; see Malformation

	// Records replace the records of some serials, byte for byte, whatever they hold. They are not part of the truth.
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
	DeadTokenFree bool       // a request to the stream with a dead token does not count
	RetryAfter    RetryAfter // how a 429 says when to come back; default header and body

	PageCap     int // maximum number of events in a page; default 5000
	ListDefault int // events in a page of the list without a limit parameter; default 100
	FeedDefault int // the same at the feed; default 25

	Flat           bool      // flat bodies, as the task's documents have them, instead of nested ones
	Gzip           bool      // compress for clients that accept it
	Window         Window    // where since and until work; default WindowFeed
	SinceExclusive bool      // since means later than, instead of at or later than
	UntilExclusive bool      // until means earlier than, instead of at or earlier than
	Opaque         bool      // cursors are encrypted: a client can neither make nor read one
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
	Gate            Gate          // what stream access requires of a caller; default GateBrowser
	OpenStats       bool          // /internal/stats requires no key
	BulkWorks       bool          // more than one id in a bulk request works, instead of 500

	Latency Latency
	Faults  Faults
}

// Tie puts a group of events into one millisecond, in addition to those that occur by chance.
type Tie struct {
	Events int64
	At     time.Time // to the millisecond, inside the span
}

// Limit is the number of requests that an endpoint accepts from one key within a window.
type Limit struct {
	Requests int // 0 means no limit
	Window   time.Duration
	Hidden   bool // no X-RateLimit headers; a 429 still has its body and Retry-After
}

// Source names the data set, independent of how it is served: two simulators with the same source have the same events. v2 is the
// way in which data are made of a seed.
func (c Config) Source() string {
	c = c.withDefaults()
	name := []string{fmt.Sprintf("simulator:v2,seed=%d", c.Seed), fmt.Sprintf("n=%d", max(c.Events, 0))}
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
	if c.Live.Rate > 0 || c.Live.Forget > 0 {
		add("%s", c.Live.source())
	}
	if len(c.Records) > 0 {
		add("records=%d", len(c.Records))
	}
	return strings.Join(name, ",")
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// The profiles.
const (
	Challenge = "challenge" // the real API's limits, latency and lifetimes
	Demo      = "demo"      // the same limits and latency, ten times faster
	Unlimited = "unlimited" // no limits, no latency, no cache: pages as fast as the machine can
)

// Profile returns the configuration of a profile, to be changed further. Its seed is 1.
func Profile(name string) (Config, error) {
	switch name {
	case Challenge:
		return observed(1), nil
	case Demo:
		return observed(10), nil
	case Unlimited:
		return Config{Seed: 1}, nil
	}
	return Config{}, fmt.Errorf("profile %q is not one of %s, %s, %s", name, Challenge, Demo, Unlimited)
}

// observed is the API as it was observed (api.md, sections 2, 4, 5 and 7), with limits, cache and latency faster by a factor. Cursors
// and tokens live as long as the real ones: clients compare what is left of them with margins of some seconds.
func observed(faster time.Duration) Config {
	limit := func(requests int) Limit { return Limit{Requests: requests, Window: time.Minute / faster} }
	feed := limit(50)
	feed.Hidden = true
	return Config{
		Seed: 1,
		List: limit(10), Feed: feed, Sessions: limit(40), Metrics: limit(30), Bulk: limit(20),
		QueryLimit: 5,
		CursorLife: 120 * time.Second,
		TokenLife:  300 * time.Second,
		CacheLife:  30 * time.Second / faster,
		Latency: Latency{
			Page: 3000 * time.Millisecond, Jitter: 475 * time.Millisecond, PerEvent: 45 * time.Microsecond,
			Hit: 60 * time.Millisecond, Token: 210 * time.Millisecond, Other: 100 * time.Millisecond,
			Ceiling: 5500, Scale: 1 / float64(faster),
		},
	}
}

// Algorithm says how requests are counted against a limit.
type Algorithm string

// The algorithms that have been conjectured. Only SlidingAll explains the recorded waits (api.md, 4.2).
const (
	SlidingAll      Algorithm = "sliding"          // a log of the last window; rejected requests are in it too
	SlidingAccepted Algorithm = "sliding-accepted" // rejected requests are free
	FixedWindow     Algorithm = "fixed"            // a count from the first request, cleared at the window's end
)

// RetryAfter says where a 429 reports when to come back.
type RetryAfter string

// The places where a 429 reports it.
const (
	RetryBoth   RetryAfter = "both"   // in the header and in rateLimit.retryAfter of the body
	RetryHeader RetryAfter = "header" // in the header only
	RetryBody   RetryAfter = "body"   // in the body only
	RetryDate   RetryAfter = "date"   // in the header only, as an HTTP date
	RetryNone   RetryAfter = "none"   // nowhere
)

// Window says where since and until work.
type Window string

// The endpoints that take since and until; the others ignore them.
const (
	WindowFeed Window = "feed"
	WindowBoth Window = "both"
	WindowNone Window = "none"
)

// BadCursor is the answer to a cursor that cannot be read.
type BadCursor string

// The answers to such a cursor.
const (
	BadCursor400    BadCursor = "400"
	BadCursor502    BadCursor = "502"
	BadCursorIgnore BadCursor = "ignore" // the first page, as if there were no cursor
)

// Gate is what stream access requires of a caller, in addition to the key.
type Gate string

// The gates that have been conjectured, and one that is closed.
const (
	GateBrowser Gate = "browser" // a User-Agent with Mozilla/
	GateOrigin  Gate = "origin"  // that, and an Origin header
	GateCookie  Gate = "cookie"  // that, and the cookie dashboard_api_key
	GateShut    Gate = "shut"    // access is refused: 403 DASHBOARD_REQUIRED
)

// withDefaults sets the fields that are zero.
func (c Config) withDefaults() Config {
	c.Events = cmp.Or(c.Events, realEvents)
	c.Newest = orTime(c.Newest, time.UnixMilli(realNewest))
	if c.Live != (Live{}) {
		c.Oldest = orTime(c.Oldest, c.Newest.Add((realOldest-realNewest)*time.Millisecond))
	}
	c.Oldest = orTime(c.Oldest, time.UnixMilli(realOldest))
	c.SkewStart = orTime(c.SkewStart, c.Oldest.Add(c.Newest.Sub(c.Oldest)/2).Truncate(time.Hour))
	c.Algorithm = cmp.Or(c.Algorithm, SlidingAll)
	c.QueryLimit = cmp.Or(c.QueryLimit, c.List.Requests)
	c.RetryAfter = cmp.Or(c.RetryAfter, RetryBoth)
	c.PageCap = cmp.Or(c.PageCap, 5000)
	c.ListDefault, c.FeedDefault = cmp.Or(c.ListDefault, 100), cmp.Or(c.FeedDefault, 25)
	c.Window = cmp.Or(c.Window, WindowFeed)
	c.CursorFault = cmp.Or(c.CursorFault, BadCursor400)
	c.CursorLife = cmp.Or(c.CursorLife, 120*time.Second)
	c.TokenLife = cmp.Or(c.TokenLife, 300*time.Second)
	c.Gate = cmp.Or(c.Gate, GateBrowser)
	c.Live.LateMost = cmp.Or(c.Live.LateMost, 5*c.Live.LateBy)
	c.Latency.Scale = cmp.Or(c.Latency.Scale, 1)
	c.Faults.SlowBy = cmp.Or(c.Faults.SlowBy, 5*time.Second)
	return c
}

func orTime(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

// validate returns everything that is wrong with c, whose defaults are filled in.
func (c *Config) validate() error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Events < None || c.Events > maxSerials {
		bad("Events: %d is not %d to %d", c.Events, None, int64(maxSerials))
	}
	if c.Newest.Before(c.Oldest) {
		bad("Newest: %s is before Oldest, %s", c.Newest, c.Oldest)
	}
	if c.Newest.UnixMilli() >= lastYear {
		bad("Newest: %s is not before 2200", c.Newest)
	}
	if c.PageCap < 1 || c.ListDefault < 1 || c.FeedDefault < 1 {
		bad("PageCap, ListDefault, FeedDefault: %d, %d, %d are not all positive", c.PageCap, c.ListDefault, c.FeedDefault)
	}
	shares := map[string]float64{"SkewShare": c.SkewShare, "WrongShare": c.WrongShare, "MalformedShare": c.MalformedShare,
		"Live.LateShare": c.Live.LateShare}
	for name, share := range c.Faults.shares() {
		shares["Faults."+name] = share
	}
	for name, share := range shares {
		if !(share >= 0 && share <= 1) {
			bad("%s: %v is not 0 to 1", name, share)
		}
	}
	total := int64(0)
	for _, tie := range c.Ties {
		if tie.Events < 1 || tie.At.Before(c.Oldest) || tie.At.After(c.Newest) {
			bad("Ties: %d events at %s are none, or outside the span", tie.Events, tie.At)
		}
		total += tie.Events
	}
	if len(c.Ties) > 0 && total > c.Events-2 {
		bad("Ties: %d events, and only %d beside the oldest and the newest", total, c.Events-2)
	}
	for name, limit := range map[string]Limit{"List": c.List, "Feed": c.Feed, "Sessions": c.Sessions, "Metrics": c.Metrics, "Bulk": c.Bulk} {
		if limit.Requests < 0 || limit.Requests > 0 && limit.Window <= 0 {
			bad("%s: %d requests in %s are no limit", name, limit.Requests, limit.Window)
		}
	}
	return errors.Join(append(faults, c.Live.check(),
		oneOf("Algorithm", c.Algorithm, SlidingAll, SlidingAccepted, FixedWindow),
		oneOf("RetryAfter", c.RetryAfter, RetryBoth, RetryHeader, RetryBody, RetryDate, RetryNone),
		oneOf("Window", c.Window, WindowFeed, WindowBoth, WindowNone),
		oneOf("CursorFault", c.CursorFault, BadCursor400, BadCursor502, BadCursorIgnore),
		oneOf("Gate", c.Gate, GateBrowser, GateOrigin, GateCookie, GateShut))...)
}

func oneOf[W ~string](name string, word W, known ...W) error {
	if slices.Contains(known, word) {
		return nil
	}
	return fmt.Errorf("%s: %q is not one of %q", name, word, known)
}

// threshold turns a share into the bound below which a uniformly drawn 64-bit number falls with that share.
func threshold(share float64) uint64 {
	if share >= 1 {
		return math.MaxUint64
	}
	return uint64(share * (1 << 63) * 2)
}
