package hostile

import (
	"fmt"
	"strings"
	"time"
)

// Case is one record of the corpus.
type Case struct {
	Name   string
	Reason string // of the dead letter that it becomes; empty for one that is an event, stored as it was sent
	spoil  func(r *record)
}

// record is a record as JSON texts, in the order of the wire. An empty one is left out; a whole replaces them all.
type record struct {
	id, sessionID, userID, kind, name, properties, timestamp, session string
	whole                                                             *string
}

// Raw returns the record's bytes. The caller gives id and time, so that no two records of a run are alike and each has its place in the
// order.
func (c *Case) Raw(id string, at time.Time) []byte {
	r := sound(id, at)
	c.spoil(&r)
	if r.whole != nil {
		return []byte(*r.whole)
	}
	return r.join()
}

// Named returns a sound record with a name of its own.
func Named(id, name string, at time.Time) []byte {
	r := sound(id, at)
	r.name = quoted(name)
	return r.join()
}

// Padded returns a sound record whose properties have the given number of bytes.
func Padded(id string, atMS int64, bytes int) []byte {
	r := sound(id, time.UnixMilli(atMS))
	value(repeated(bytes, "p"))(&r)
	return r.join()
}

func sound(id string, at time.Time) record {
	return record{
		id: quoted(id), sessionID: `"0ae5e27f-bcc5-4d99-b744-3ce64d3623a9"`, userID: `"1f2a12b4-1bdc-463d-ba74-f6d849f5b76f"`,
		kind: `"click"`, name: `"event_e8o287"`, properties: `{"page":"/home"}`, timestamp: fmt.Sprint(at.UnixMilli()),
		session: `{"id":"0ae5e27f-bcc5-4d99-b744-3ce64d3623a9","deviceType":"tablet","browser":"Edge"}`,
	}
}

func (r *record) join() []byte {
	var parts []string
	for _, f := range [...]struct{ name, value string }{
		{"id", r.id}, {"sessionId", r.sessionID}, {"userId", r.userID}, {"type", r.kind}, {"name", r.name},
		{"properties", r.properties}, {"timestamp", r.timestamp}, {"session", r.session},
	} {
		if f.value != "" {
			parts = append(parts, `"`+f.name+`":`+f.value)
		}
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

func quoted(s string) string { return `"` + s + `"` }

// The ways to spoil a record. Each returns a function that does it.

func whole(text string) func(*record) { return func(r *record) { r.whole = &text } }

func id(text string) func(*record) { return func(r *record) { r.id = text } }

func kind(text string) func(*record) { return func(r *record) { r.kind = text } }

func name(text string) func(*record) { return func(r *record) { r.name = text } }

func properties(text string) func(*record) { return func(r *record) { r.properties = text } }

// value puts a text between the quotes of a property.
func value(text string) func(*record) { return properties(`{"page":"` + text + `"}`) }

// number makes a property of a number.
func number(text string) func(*record) { return properties(`{"n":` + text + `}`) }

func timestamp(text string) func(*record) { return func(r *record) { r.timestamp = text } }

// clock replaces the time of day of a timestamp, and keeps its date.
func clock(text string) func(*record) {
	return func(r *record) { r.timestamp = quoted(r.day() + text) }
}

func (r *record) day() string {
	var ms int64
	_, _ = fmt.Sscan(r.timestamp, &ms) // it was written by sound
	return time.UnixMilli(ms).UTC().Format(time.DateOnly)
}

func session(device, browser string) func(*record) {
	return func(r *record) { r.session = `{"deviceType":` + device + `,"browser":` + browser + `}` }
}

// beside adds fields to a sound record.
func beside(fields string) func(*record) { return func(r *record) { r.session += "," + fields } }

// followed puts something behind a sound record.
func followed(text string) func(*record) {
	return func(r *record) {
		all := string(r.join()) + text
		r.whole = &all
	}
}

func nested(depth int) func(*record) {
	return properties(strings.Repeat("[", depth) + strings.Repeat("]", depth))
}

func repeated(n int, part string) string { return strings.Repeat(part, n) }
