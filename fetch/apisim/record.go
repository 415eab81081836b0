package apisim

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A renderer writes records. It remembers what neighboring events share, so that most of a record is copied: sessions, and
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

// spoiled is a record as a row of JSON texts, in the order of the wire. An empty one is left out; whole replaces them all.
type spoiled struct {
	id, sessionID, userID, kind, name, properties, timestamp, session, whole string
}

// A Malformation is one way in which a record can be malformed. Whatever it spoils, the record names its own serial or id,
// so that no two are alike; its brackets and quotes are balanced, so that it can be separated from the records around it.
type Malformation struct {
	Name  string
	spoil func(r *spoiled, serial int64)
}

const isoMillis = "2006-01-02T15:04:05.000Z"

// Malformations are all the ways. None of these records can become a row of ingested_events.
var Malformations = []Malformation{
	{"number", func(r *spoiled, n int64) { r.whole = strconv.FormatInt(n, 10) }},
	{"string", func(r *spoiled, n int64) { r.whole = fmt.Sprintf(`"event %d"`, n) }},
	{"array", func(r *spoiled, n int64) { r.whole = fmt.Sprintf(`[%d,null]`, n) }},
	{"id missing", func(r *spoiled, _ int64) { r.id = "" }},
	{"id not a uuid", func(r *spoiled, n int64) { r.id = fmt.Sprintf(`"not-a-uuid-%d"`, n) }},
	{"session id cut", func(r *spoiled, _ int64) { r.sessionID = r.sessionID[:36] + `"` }},
	{"user id null", func(r *spoiled, _ int64) { r.userID = "null" }},
	{"type a number", func(r *spoiled, n int64) { r.kind = strconv.FormatInt(n, 10) }},
	{"type too long", func(r *spoiled, _ int64) { r.kind = quoted(strings.Repeat("t", 51)) }},
	{"name too long", func(r *spoiled, n int64) { r.name = fmt.Sprintf(`"event_%0100d"`, n) }},
	{"name twice", func(r *spoiled, n int64) { r.name += fmt.Sprintf(`,"name":"event_%d"`, n) }},
	{"name with a bad escape", func(r *spoiled, n int64) { r.name = fmt.Sprintf(`"event_\q%d"`, n) }},
	{"invalid utf-8", func(r *spoiled, n int64) { r.name = fmt.Sprintf("\"event_\xff%d\"", n) }},
	{"nul", func(r *spoiled, n int64) { r.properties = fmt.Sprintf(`{"page":"/home\u0000%d"}`, n) }},
	{"lone surrogate", func(r *spoiled, n int64) { r.properties = fmt.Sprintf(`{"page":"/home\ud800%d"}`, n) }},
	{"number too large", func(r *spoiled, n int64) { r.properties = fmt.Sprintf(`{"page":"/home","record":%d,"n":1e999999}`, n) }},
	{"nested too deep", func(r *spoiled, n int64) { r.properties = nested(n) }},
	{"timestamp missing", func(r *spoiled, _ int64) { r.timestamp = "" }},
	{"timestamp null", func(r *spoiled, _ int64) { r.timestamp = "null" }},
	{"timestamp unreadable", func(r *spoiled, n int64) { r.timestamp = fmt.Sprintf(`"day %d"`, n) }},
	{"timestamp not json", func(r *spoiled, _ int64) { r.timestamp = "NaN" }},
	{"timestamp out of range", func(r *spoiled, n int64) { r.timestamp = strconv.FormatInt(lastYear+n, 10) }},
	{"session missing", func(r *spoiled, _ int64) { r.session = "" }},
	{"session a string", func(r *spoiled, n int64) { r.session = fmt.Sprintf(`"session %d"`, n) }},
}

func quoted(s string) string { return `"` + s + `"` }

// tooDeep is more than json/v2 (10,000) and PostgreSQL (between 10,000 and 15,000, with its stack's usual size) read.
const tooDeep = 16_000

func nested(n int64) string {
	return fmt.Sprintf(`{"page":"/home","deep":%s%d%s}`, strings.Repeat("[", tooDeep), n, strings.Repeat("]", tooDeep))
}

// Malformed returns in which way the record of a serial is malformed, if it is.
func (d *Data) Malformed(serial int64) (how Malformation, ok bool) {
	if d.config.MalformedShare == 0 {
		return how, false
	}
	r := draw(d.keys.malformed, serial)
	if r >= threshold(d.config.MalformedShare) {
		return how, false
	}
	return Malformations[mix(r)%uint64(len(Malformations))], true
}

// MalformedRecord returns the bytes of a malformed record, or of one of Config.Records, the same at every endpoint and place
// of a page; nil for a sound one.
func (d *Data) MalformedRecord(serial int64) []byte {
	if raw, ok := d.config.Records[serial]; ok {
		return raw
	}
	how, ok := d.Malformed(serial)
	if !ok {
		return nil
	}
	return how.record(d.Event(serial), serial)
}

// sound reports whether the record of a serial is one of the truth.
func (d *Data) sound(serial int64) bool {
	if _, replaced := d.config.Records[serial]; replaced {
		return false
	}
	_, malformed := d.Malformed(serial)
	return !malformed
}

func (m *Malformation) record(e Event, serial int64) []byte {
	r := spoiled{
		id: quoted(e.ID.String()), sessionID: quoted(e.Session.String()), userID: quoted(e.User.String()),
		kind: quoted(e.Type), name: quoted(e.Name), properties: fmt.Sprintf(`{"page":"/home","record":%d}`, serial),
		timestamp: quoted(time.UnixMilli(e.AtMS).UTC().Format(isoMillis)),
		session:   fmt.Sprintf(`{"id":"%s","deviceType":"%s","browser":"%s"}`, e.Session, e.Device, e.Browser),
	}
	m.spoil(&r, serial)
	if r.whole != "" {
		return []byte(r.whole)
	}
	return r.join()
}

// join writes the fields as an object.
func (r *spoiled) join() []byte {
	b := []byte("{")
	for _, f := range [...]struct{ name, value string }{
		{"id", r.id}, {"sessionId", r.sessionID}, {"userId", r.userID}, {"type", r.kind}, {"name", r.name},
		{"properties", r.properties}, {"timestamp", r.timestamp}, {"session", r.session},
	} {
		if f.value == "" {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, `"`+f.name+`":`+f.value...)
	}
	return append(b, '}')
}
