package fetch

import (
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	"sluice/shard"
)

// Capabilities is what was found out about the API, once per job.
type Capabilities struct {
	StreamAccess bool `json:"stream_access"` // the stream may be read
	UntilStream  bool `json:"until_stream"`  // the stream can be asked by timestamp
	UntilList    bool `json:"until_list"`    // the list can
	MadeCursors  bool `json:"made_cursors"`  // a cursor made for a record is taken
	PageSize     int  `json:"page_size"`     // records in a page, as the API echoed; 0: it did not say
}

// Windows tells whether a window can be asked for by its end. If not, one fetcher walks them all, newest first.
func (c Capabilities) Windows() bool { return c.UntilStream || c.UntilList }

// Step names the rung of the ladder that the capabilities allow, for people.
func (c Capabilities) Step() string {
	switch {
	case c.UntilStream && c.UntilList:
		return "both endpoints can be asked by timestamp"
	case c.UntilStream:
		return "the stream can be asked by timestamp, and its cursors lead on at the list"
	case c.UntilList:
		return "the list can be asked by timestamp"
	case c.MadeCursors:
		return "no endpoint can be asked by timestamp: one fetcher walks the windows newest to oldest, and resumes with cursors it makes"
	}
	return "no endpoint can be asked by timestamp: one fetcher walks the windows newest to oldest"
}

// ladder decides how a place is asked for.
type ladder struct {
	made bool // the operator allows made cursors

	mu    sync.Mutex
	caps  Capabilities
	known bool
}

func (l *ladder) get() Capabilities {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.caps
}

func (l *ladder) set(change func(*Capabilities)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.caps)
	l.known = true
}

// Capabilities returns what is known of the API.
func (c *Client) Capabilities() Capabilities { return c.ladder.get() }

// SetCapabilities takes over what an earlier run of the job found out, instead of asking again.
func (c *Client) SetCapabilities(caps Capabilities) {
	c.ladder.set(func(own *Capabilities) { *own = caps })
	c.granted.Store(int64(caps.PageSize))
}

// question is how one page is asked for.
type question struct {
	start   shard.Start
	cursor  string
	expires time.Time // of the cursor; zero: not known
	until   int64     // epoch milliseconds, for ByUntil
	made    bool      // the cursor is our own, and the answer must show that it was taken
	vary    int
	most    int       // records that may be asked for, because more were too large for a body; 0: as many as there are
	after   shard.Key // the resume point, to check the answer against
}

// ask climbs the ladder: a live cursor, a timestamp where an endpoint takes one, a made cursor, the cursor that led to the
// page before, and the very top.
func (c *Client) ask(from shard.Position) question {
	q := question{start: shard.ByCursor, vary: from.Vary, after: from.Resume}
	caps := c.ladder.get()
	until, bounded := from.Until()
	switch {
	case alive(from.Cursor, from.CursorExpires):
		q.cursor, q.expires = from.Cursor, from.CursorExpires
	case bounded && caps.Windows():
		q.start, q.until = shard.ByUntil, until
	case !from.Resume.IsZero() && caps.MadeCursors:
		q.cursor, q.made = makeCursor(from.Resume, time.Now()), true
	case alive(from.Previous, from.PreviousExpires):
		q.cursor, q.expires = from.Previous, from.PreviousExpires
	default:
		q.start = shard.FromTop
	}
	return q
}

func alive(cursor string, expires time.Time) bool {
	return cursor != "" && (expires.IsZero() || time.Now().Before(expires))
}

// usable tells whether the question can be put to an endpoint.
func (q *question) usable(e shard.Endpoint, caps Capabilities) bool {
	if e == shard.Stream && !caps.StreamAccess {
		return false
	}
	if q.start != shard.ByUntil {
		return true
	}
	return e == shard.Stream && caps.UntilStream || e == shard.List && caps.UntilList
}

func (q *question) dead() bool { return q.start == shard.ByCursor && !alive(q.cursor, q.expires) }

// makeCursor writes a cursor in the API's own form (v2) that leads on after a record. It is used only to resume, where no
// endpoint can be asked by timestamp, and believed only if the page that comes back lies where it should.
func makeCursor(after shard.Key, now time.Time) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"id":"%s","ts":%d,"v":2,"exp":%d}`,
		after.ID, int64(after.At)/1000, now.Add(2*time.Minute).UnixMilli()))
}
