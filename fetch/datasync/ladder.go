package datasync

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"sluice/fetch"
	"sluice/shard"
)

// Capabilities says what an API can do. It is found out once per job, by Survey.
type Capabilities struct {
	StreamAccess bool `json:"stream_access"` // the stream may be read
	UntilStream  bool `json:"until_stream"`  // the stream can be asked by timestamp
	UntilList    bool `json:"until_list"`    // the list can be asked by timestamp
	MadeCursors  bool `json:"made_cursors"`  // the API accepts a cursor that was made for a record
	PageSize     int  `json:"page_size"`     // records in a full page, as the API echoed; zero means that it did not say
}

// Windows reports whether a window can be asked for by its end. If not, one fetcher walks them all, newest first.
func (c Capabilities) Windows() bool { return c.UntilStream || c.UntilList }

// Step describes the rung of the ladder that the capabilities allow.
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

// ladder decides how the page at a position is asked for.
type ladder struct {
	made bool // the operator allows made cursors

	mu   sync.Mutex
	caps Capabilities
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
}

// Capabilities returns what the API is known to be able to do.
func (c *Client) Capabilities() Capabilities { return c.ladder.get() }

// SetCapabilities takes over what an earlier run of the job found out, so that no Survey is needed.
func (c *Client) SetCapabilities(caps Capabilities) {
	c.ladder.set(func(own *Capabilities) { *own = caps })
	c.Grant(caps.PageSize)
}

// madeCursor is the Note of a question whose cursor is our own: the answer must show that the API accepted it.
const madeCursor = "made cursor"

// ask climbs the ladder: a live cursor, a timestamp if an endpoint takes one, a made cursor, the cursor that led to the page
// before, and the very top.
func (l *ladder) ask(from shard.Position) fetch.Question {
	q := fetch.Question{Start: shard.ByCursor, Vary: from.Vary, After: from.Resume}
	caps := l.get()
	until, bounded := from.Until()
	switch {
	case fetch.Alive(from.Cursor, from.CursorExpires):
		q.Cursor, q.Expires = from.Cursor, from.CursorExpires
	case bounded && caps.Windows():
		q.Start, q.Until = shard.ByUntil, until
	case !from.Resume.IsZero() && caps.MadeCursors:
		q.Cursor, q.Note = makeCursor(from.Resume, time.Now()), madeCursor
	case fetch.Alive(from.Previous, from.PreviousExpires):
		q.Cursor, q.Expires = from.Previous, from.PreviousExpires
	default:
		q.Start = shard.FromTop
	}
	return q
}

// usable reports whether the question can be put to an endpoint.
func (c Capabilities) usable(q *fetch.Question, door shard.Endpoint) bool {
	if door == Stream && !c.StreamAccess {
		return false
	}
	if q.Start != shard.ByUntil {
		return true
	}
	return door == Stream && c.UntilStream || door == List && c.UntilList
}

// makeCursor writes a cursor in the API's own form (v2) that leads on after a record. It is used only to resume if no endpoint
// can be asked by timestamp, and trusted only if the page that comes back lies where it should.
func makeCursor(after shard.Key, now time.Time) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"id":"%s","ts":%d,"v":2,"exp":%d}`,
		after.ID, int64(after.At)/1000, now.Add(2*time.Minute).UnixMilli()))
}

// madeAt returns when a cursor of the API dies, by the server's clock: always the same time after it was made, which is just
// after its request came in (api.md, 2). false means that it does not say, as an encrypted one.
func madeAt(cursor string) (time.Time, bool) {
	plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(cursor, "="))
	if err != nil {
		return time.Time{}, false
	}
	var c struct {
		Exp int64 `json:"exp"` // epoch milliseconds
	}
	if err := json.Unmarshal(plain, &c); err != nil || c.Exp <= 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(c.Exp), true
}
