package decode

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/shard"
)

// fields of a record, as a set.
type fields uint16

const (
	fieldID fields = 1 << iota
	fieldSession
	fieldUser
	fieldType
	fieldName
	fieldProperties
	fieldTimestamp
	fieldDevice
	fieldBrowser

	fieldsNeeded = fieldID | fieldSession | fieldUser | fieldType | fieldName | fieldTimestamp | fieldDevice | fieldBrowser
)

var fieldNames = [...]string{"id", "sessionId", "userId", "type", "name", "properties", "timestamp", "session.deviceType", "session.browser"}

func (f fields) String() string {
	for i, name := range fieldNames {
		if f&(1<<i) != 0 {
			return name
		}
	}
	return "nothing"
}

// fault is what is wrong with the content of a record that is sound JSON.
type fault struct {
	reason Reason
	err    error
}

func (f *fault) Error() string { return f.err.Error() }

func faultf(reason Reason, format string, args ...any) *fault {
	return &fault{reason, fmt.Errorf(format, args...)}
}

// record reads one record and adds it to the events or to the rejects of b. An error means that its JSON is not sound, and
// that the decoder cannot go on.
func (d *Decoder) record(b *Page, raw []byte) error {
	kind := d.json.PeekKind()
	if kind != '{' {
		return d.notObject(b, raw)
	}
	b.Events = append(b.Events, shard.Event{})
	e := &b.Events[len(b.Events)-1]
	start := d.json.InputOffset()
	var first *fault
	have, err := d.object(e, &first)
	if err != nil {
		return err
	}
	span := recordAt(raw, start, d.json.InputOffset())
	switch {
	case first != nil:
	case have&fieldsNeeded != fieldsNeeded:
		first = faultf(ReasonMissing, "%s is missing", fieldsNeeded&^have)
	case len(span) > MaxRecord:
		first = faultf(ReasonTooLarge, "%d bytes", len(span))
	case have&fieldProperties == 0:
		e.Properties = "{}"
	}
	if first != nil {
		id := ""
		if have&fieldID != 0 {
			id = e.ID.String()
		}
		b.Events = b.Events[:len(b.Events)-1]
		b.Rejects = append(b.Rejects, reject(span, id, first.reason, first.err))
	}
	return nil
}

// recordAt cuts a record out of the body. Its start is the end of the token before it, so that a comma or white space may
// stand in front.
func recordAt(raw []byte, start, end int64) []byte {
	span := raw[start:end]
	for len(span) > 0 && (span[0] == ',' || span[0] == ' ' || span[0] == '\n' || span[0] == '\r' || span[0] == '\t') {
		span = span[1:]
	}
	return span
}

func (d *Decoder) notObject(b *Page, raw []byte) error {
	start := d.json.InputOffset()
	if err := d.json.SkipValue(); err != nil {
		return err
	}
	span := recordAt(raw, start, d.json.InputOffset())
	b.Rejects = append(b.Rejects, reject(span, "", ReasonObject, errors.New("a record must be an object")))
	return nil
}

// object reads the fields of a record, each exactly by its name. The first fault is kept, the rest is still read.
func (d *Decoder) object(e *shard.Event, first **fault) (have fields, err error) {
	if _, err := d.json.ReadToken(); err != nil {
		return 0, err
	}
	for d.json.PeekKind() == '"' {
		name, err := d.name()
		if err != nil {
			return have, err
		}
		field, fault, err := d.field(e, name)
		if err != nil {
			return have, err
		}
		if fault != nil {
			if *first == nil {
				*first = fault
			}
			continue
		}
		have |= field
	}
	_, err = d.json.ReadToken()
	return have, err
}

// name reads a field's name. The slice is good until the next read.
func (d *Decoder) name() ([]byte, error) {
	quoted, err := d.json.ReadValue()
	if err != nil {
		return nil, err
	}
	return d.unquote(quoted)
}

func (d *Decoder) field(e *shard.Event, name []byte) (fields, *fault, error) {
	switch string(name) {
	case "id":
		return d.uuid(&e.ID, fieldID)
	case "sessionId":
		return d.uuid(&e.Session, fieldSession)
	case "userId":
		return d.uuid(&e.User, fieldUser)
	case "type":
		return d.text(&e.Type, fieldType, 50, true)
	case "name":
		return d.text(&e.Name, fieldName, 100, false)
	case "properties":
		return d.properties(&e.Properties)
	case "timestamp":
		return d.timestamp(&e.At)
	case "session":
		return d.session(e)
	}
	d.countUnknown(name)
	return 0, nil, d.json.SkipValue()
}

// session reads the nested session, of which the device and the browser are stored.
func (d *Decoder) session(e *shard.Event) (have fields, first *fault, err error) {
	if kind := d.json.PeekKind(); kind != '{' {
		return 0, faultf(ReasonType, "session is %s, not an object", kindName(kind)), d.json.SkipValue()
	}
	if _, err := d.json.ReadToken(); err != nil {
		return 0, nil, err
	}
	for d.json.PeekKind() == '"' {
		name, err := d.name()
		if err != nil {
			return 0, nil, err
		}
		var got fields
		var wrong *fault
		switch string(name) {
		case "deviceType":
			got, wrong, err = d.text(&e.Device, fieldDevice, 20, true)
		case "browser":
			got, wrong, err = d.text(&e.Browser, fieldBrowser, 50, true)
		default:
			err = d.json.SkipValue()
		}
		if err != nil {
			return 0, nil, err
		}
		if first == nil {
			first = wrong
		}
		have |= got
	}
	_, err = d.json.ReadToken()
	return have, first, err
}

// MaxUnknown is how many names of unknown fields are told apart.
const MaxUnknown = 100

func (d *Decoder) countUnknown(name []byte) {
	if d.unknown == nil {
		d.unknown = make(map[string]int)
	}
	if len(d.unknown) < MaxUnknown {
		d.unknown[string(name)]++
	}
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return "nothing"
}
