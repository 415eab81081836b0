package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sluice/fetch/decode"
	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// poisonLimit is how often in a row a page may be unreadable in the same way before its shard fails.
const poisonLimit = 5

// pages decodes an answer and cuts it into pages.
func (c *Client) pages(a *answer, q *question, call quota.Slot) ([]shard.Page, error) {
	d := c.decoded.Get().(*decode.Decoder)
	d.MaxRecords = decode.SpareRecords + c.limit(0)
	b, err := d.Page(a.raw.Bytes(), endpointOf(call.Quota))
	c.decoded.Put(d)
	if err != nil {
		return nil, unreadable(a, endpointOf(call.Quota), err)
	}
	if q.made && !follows(b, q.after) {
		err := errors.New("the page that came back lies elsewhere")
		c.dropMadeCursors(err)
		return nil, fmt.Errorf("%w: %w", shard.ErrCursorDead, err)
	}
	failpoint.Hit("page.decoded")
	c.note(b, a, q)
	whole := shard.Page{
		Events: b.Events, Rejects: b.Rejects, Received: b.Received(),
		Start: q.start, Endpoint: endpointOf(call.Quota), Cached: a.cached(),
		More: b.More(), Cursor: b.Cursor(), CursorExpires: expires(b, a.took),
		Bytes: a.raw.Len(), Took: a.took,
	}
	if made, ok := madeAt(whole.Cursor); ok && !whole.Cached { // of a page from the cache it is as old as the page
		c.pacer.Stamped(call, made)
	}
	return pieces(whole), nil
}

// unreadable judges a body that is no page. What is no JSON of the API's (null, a balancer's HTML, a body cut at a bracket)
// passes; a page whose records cannot be told apart, or that has far too many, would be the same again.
func unreadable(a *answer, endpoint shard.Endpoint, err error) error {
	err = fmt.Errorf("%s: decode a body of %d bytes: %w", endpoint, a.raw.Len(), plainly(err, a.hidden))
	if errors.Is(err, decode.ErrTooMany) || errors.Is(err, decode.ErrUnbalanced) && bytes.Contains(a.raw.Bytes(), []byte(`"pagination"`)) {
		return &shard.StuckError{Err: err, Limit: poisonLimit}
	}
	return &shard.TransientError{Err: err}
}

// follows reports whether the page begins after a record, as the answer to a cursor must.
func follows(b *decode.Page, after shard.Key) bool {
	return len(b.Events) == 0 || after.Before(b.Events[0].Key())
}

// note remembers what the answer tells beside its records.
func (c *Client) note(b *decode.Page, a *answer, q *question) {
	if q.vary == 0 && b.More() {
		c.given.Store(int64(b.Received()))
	}
	if limit := int64(b.Limit()); limit > c.granted.Load() {
		c.granted.Store(limit)
	}
	if total, ok := b.Total(); ok {
		c.total.Store(total)
	}
	if a.cached() {
		c.count.cached.Add(1)
	}
	if date, err := http.ParseTime(a.header.Get("Date")); err == nil {
		offset := date.Sub(a.at)
		c.offset.Store(&offset)
	}
	for name, n := range b.Unknown {
		name = fmt.Sprintf("%.100q", a.hide(name))
		if _, known := c.unknown.LoadOrStore(name, true); !known && c.unknowns.Add(1) <= decode.MaxUnknown {
			c.config.Log.Warn("records have a field that is not stored", "field", name, "in_this_page", n)
		} else if !known {
			c.unknown.Delete(name) // an API that invents names must not fill the memory, or the screen
		}
	}
}

// expires returns when the page's cursor dies: its life after the API made it, less the time the answer took to come, because it
// is not known when on the way it was made. The zero time means the API does not say.
func expires(b *decode.Page, took time.Duration) time.Time {
	life, ok := b.CursorLife()
	if !ok {
		return time.Time{}
	}
	return time.Now().Add(life - min(took, time.Second))
}

// pieces cuts a large response into pages of at most pieceEvents events. Only the last has the cursor.
func pieces(whole shard.Page) []shard.Page {
	if len(whole.Events) <= pieceEvents {
		return []shard.Page{whole}
	}
	var cut []shard.Page
	for from := 0; from < len(whole.Events); from += pieceEvents {
		piece := whole
		piece.Events = whole.Events[from:min(from+pieceEvents, len(whole.Events))]
		piece.Rejects, piece.Received = nil, len(piece.Events)
		piece.Cursor, piece.CursorExpires, piece.More = "", time.Time{}, true
		if from > 0 {
			piece.Start = shard.ByCursor
		}
		cut = append(cut, piece)
	}
	last := &cut[len(cut)-1]
	last.Rejects, last.Received = whole.Rejects, len(last.Events)+len(whole.Rejects)
	last.Cursor, last.CursorExpires, last.More = whole.Cursor, whole.CursorExpires, whole.More
	for i := range cut {
		cut[i].Rest = len(cut) - 1 - i
	}
	return cut
}
