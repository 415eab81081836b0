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

// setUntil says whether an endpoint can be asked by timestamp.
func (c *Capabilities) setUntil(door shard.Endpoint, can bool) {
	if door == Stream {
		c.UntilStream = can
	} else {
		c.UntilList = can
	}
}

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

	mu        sync.Mutex
	caps      Capabilities
	madeAgain time.Time              // no made cursor before: the API has refused one
	ignored   map[shard.Endpoint]int // answers in a row that took no notice of the timestamp asked for
	// own are cursors that the API gave this process without saying how long they live. One that another process was given may be long
	// dead, and is not trusted.
	own map[string]struct{}
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

// streamOpens notes that there is access to the stream. If there was none at the survey, it is taken to be one that can be asked by
// timestamp until its answers show that it is not.
func (l *ladder) streamOpens() {
	l.set(func(caps *Capabilities) {
		if !caps.StreamAccess {
			caps.StreamAccess, caps.UntilStream = true, true
		}
	})
}

// streamCloses notes that there is no access to the stream, and reports whether there was.
func (l *ladder) streamCloses() (was bool) {
	l.set(func(caps *Capabilities) {
		was = caps.StreamAccess
		caps.StreamAccess, caps.UntilStream = false, false
	})
	return was
}

// madePause is how long no cursor is made after the API has refused one.
const madePause = 10 * time.Minute

func (l *ladder) dropMade() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.madeAgain = time.Now().Add(madePause)
}

// makes reports whether a cursor may be made now.
func (l *ladder) makes() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.caps.MadeCursors && !time.Now().Before(l.madeAgain)
}

// maxIgnored is after how many answers in a row that took no notice of the timestamp an endpoint is not asked by timestamp any more.
const maxIgnored = 3

// noteUntil compares a page with the timestamp that an endpoint was asked for.
func (l *ladder) noteUntil(door shard.Endpoint, until int64, events []shard.Event) {
	const enough = 4 // fewer may all have a wrong timestamp
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(events) < enough:
		return
	case !ignores(events, shard.Instant(until*1000)):
		delete(l.ignored, door)
		return
	case l.ignored == nil:
		l.ignored = map[shard.Endpoint]int{}
	}
	if l.ignored[door]++; l.ignored[door] >= maxIgnored {
		l.caps.setUntil(door, false)
	}
}

// ignores reports whether most events are newer than what was asked for, be it inclusive or not.
func ignores(events []shard.Event, until shard.Instant) bool {
	newer := 0
	for i := range events {
		if events[i].At > until.Add(time.Millisecond) {
			newer++
		}
	}
	return 2*newer > len(events)
}

// Capabilities returns what the API is known to be able to do.
func (c *Client) Capabilities() Capabilities { return c.ladder.get() }

// SetCapabilities takes over what an earlier run of the job found out, so that no Survey is needed.
func (c *Client) SetCapabilities(caps Capabilities) {
	c.ladder.set(func(own *Capabilities) { *own = caps })
	if !caps.StreamAccess {
		c.tokens.wait(recallPause)
	}
	c.Grant(caps.PageSize)
}

// recallPause is how long a stream that gave an earlier run no access is left alone.
const recallPause = time.Minute

// madeCursor is the Note of a question whose cursor is our own: the answer must show that the API accepted it.
const madeCursor = "made cursor"

// ask climbs the ladder: a live cursor, a timestamp if an endpoint takes one, a made cursor, the cursor that led to the page
// before, a cursor whose life is not known, and the very top.
func (l *ladder) ask(from shard.Position) fetch.Question {
	q := fetch.Question{Start: shard.ByCursor, Vary: from.Vary, After: from.Resume}
	caps := l.get()
	until, bounded := from.Until()
	switch {
	case fetch.Alive(from.Cursor, from.CursorExpires) && (!from.CursorExpires.IsZero() || l.owns(from.Cursor)):
		q.Cursor, q.Expires = from.Cursor, from.CursorExpires
	case bounded && caps.Windows():
		q.Start, q.Until = shard.ByUntil, until
	case !from.Resume.IsZero() && l.makes():
		q.Cursor, q.Note = makeCursor(from.Resume, time.Now()), madeCursor
	case fetch.Alive(from.Previous, from.PreviousExpires):
		q.Cursor, q.Expires = from.Previous, from.PreviousExpires
	case fetch.Alive(from.Cursor, from.CursorExpires):
		q.Cursor = from.Cursor
	default:
		q.Start = shard.FromTop
	}
	return q
}

// maxOwn is how many of our own cursors are remembered: many times as many as a run has pages under way.
const maxOwn = 4096

func (l *ladder) addOwn(cursor string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.own) >= maxOwn || l.own == nil {
		l.own = map[string]struct{}{}
	}
	l.own[cursor] = struct{}{}
}

func (l *ladder) owns(cursor string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.own[cursor]
	return ok
}

// usable reports whether the question can be put to an endpoint.
func (c Capabilities) usable(q *fetch.Question, door shard.Endpoint) bool {
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
