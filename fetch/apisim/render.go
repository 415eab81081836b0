package apisim

import (
	"encoding/hex"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A renderer writes records. It remembers what neighbouring events share, so that most of a record is copied: sessions, and
// the date and the minute of a timestamp.
type renderer struct {
	data     *Data
	sessions [64]sessionText // by index modulo their number, which is more than are under way at a time
	minute   int64           // the minute that prefix stands for
	prefix   []byte          // 2026-01-27T19:20:
}

// sessionText is what a session adds to the records of its events.
type sessionText struct {
	index      int64
	head, tail []byte
}

func newRenderers(d *Data) *sync.Pool {
	return &sync.Pool{New: func() any {
		r := &renderer{data: d, minute: -1}
		for i := range r.sessions {
			r.sessions[i].index = -1
		}
		return r
	}}
}

// form is how a page writes its timestamps.
type form uint8

const (
	formNumber form = iota // epoch milliseconds
	formISO                // ISO 8601 in UTC
)

// append writes the record of an event. at is the millisecond that decides its place.
func (r *renderer) append(b []byte, serial, at int64, as form) []byte {
	d := r.data
	if raw := d.MalformedRecord(serial); raw != nil {
		return append(b, raw...)
	}
	f, s := d.fields(serial), r.session(d.sessionOf(serial))
	b = append(b, `{"id":"`...)
	b = appendUUID(b, d.events.uuid(serial))
	b = append(b, s.head...)
	b = append(b, f.kind...)
	b = append(b, `","name":"`...)
	b = f.appendName(b)
	b = append(b, `","properties":{"page":"/home"},"timestamp":`...)
	b = r.appendTime(b, d.served(serial, at), as)
	return append(b, s.tail...)
}

// session returns the text of a session, and writes it first if it is not the one that was kept at its place.
func (r *renderer) session(index int64) *sessionText {
	t := &r.sessions[index%int64(len(r.sessions))]
	if t.index == index {
		return t
	}
	s := r.data.session(index)
	t.index = index
	t.head = append(t.head[:0], `","sessionId":"`...)
	t.head = append(appendUUID(t.head, s.id), `","userId":"`...)
	t.head = append(appendUUID(t.head, s.user), `","type":"`...)
	t.tail = append(t.tail[:0], `,"session":{"id":"`...)
	t.tail = append(appendUUID(t.tail, s.id), `","deviceType":"`...)
	t.tail = append(append(t.tail, s.device...), `","browser":"`...)
	t.tail = append(append(t.tail, s.browser...), `"}}`...)
	return t
}

func (r *renderer) appendTime(b []byte, ms int64, as form) []byte {
	if as == formNumber {
		return strconv.AppendInt(b, ms, 10)
	}
	if minute := ms / 60_000; minute != r.minute {
		r.minute = minute
		r.prefix = time.UnixMilli(ms).UTC().AppendFormat(r.prefix[:0], `"2006-01-02T15:04:`)
	}
	rest := ms % 60_000
	s, ms := byte(rest/1000), rest%1000
	b = append(b, r.prefix...)
	return append(b, '0'+s/10, '0'+s%10, '.', '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10), 'Z', '"')
}

// appendUUID writes the 36-character form.
func appendUUID(b []byte, id uuid.UUID) []byte {
	b = hex.AppendEncode(b, id[:4])
	b = hex.AppendEncode(append(b, '-'), id[4:6])
	b = hex.AppendEncode(append(b, '-'), id[6:8])
	b = hex.AppendEncode(append(b, '-'), id[8:10])
	return hex.AppendEncode(append(b, '-'), id[10:])
}
