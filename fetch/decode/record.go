package decode

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

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

// record reads one record and adds it to the events or to the rejects of b. An error means that its JSON is not sound, and
// that the parser can't continue.
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

// recordAt cuts a record out of the body. start is the end of the token before it, so a comma or white space may come first.
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

// object reads the fields of a record by their exact names. It keeps the first fault, and still reads the rest.
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

// name reads a field's name. The slice is valid until the next read.
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

// session reads the nested session, of which only the device and the browser are stored.
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

// MaxUnknown is how many names of unknown fields are counted.
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

const (
	// maxDepth is how deep a record may be nested. PostgreSQL's parser fails between 12,000 and 20,000, json/v2's at 10,000.
	maxDepth = 64
	// maxDigits and maxExponent keep a number's text small: jsonb turns 1e131071 into 131,072 digits.
	maxDigits   = 40
	maxExponent = 308
	// soundSize is the maximum length of properties that are interned.
	soundSize = 64
)

// unquote returns the content of a JSON string. The slice is valid until the next read.
func (d *Decoder) unquote(quoted []byte) ([]byte, error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	var err error
	d.unquoted, err = jsontext.AppendUnquote(d.unquoted[:0], quoted)
	return d.unquoted, err
}

// str reads a value that must be a string.
func (d *Decoder) str(name fields) ([]byte, *fault, error) {
	if kind := d.json.PeekKind(); kind != '"' {
		return nil, faultf(ReasonType, "%s is %s, not a string", name, kindName(kind)), d.json.SkipValue()
	}
	quoted, err := d.json.ReadValue()
	if err != nil {
		return nil, nil, err
	}
	s, err := d.unquote(quoted)
	return s, nil, err
}

// uuid reads a UUID in the 36-character form.
func (d *Decoder) uuid(to *uuid.UUID, name fields) (fields, *fault, error) {
	s, wrong, err := d.str(name)
	if wrong != nil || err != nil {
		return 0, wrong, err
	}
	if len(s) != 36 {
		return 0, faultf(ReasonUUID, "%s %.50q does not have the 36-character form of a UUID", name, s), nil
	}
	if *to, err = uuid.ParseBytes(s); err != nil {
		return 0, faultf(ReasonUUID, "%s %q: %v", name, s, err), nil
	}
	return name, nil, nil
}

// text reads a string of at most max characters, as many as the column holds. recurs says that its values are worth interning.
func (d *Decoder) text(to *string, name fields, max int, recurs bool) (fields, *fault, error) {
	s, wrong, err := d.str(name)
	switch {
	case wrong != nil || err != nil:
		return 0, wrong, err
	case bytes.IndexByte(s, 0) >= 0:
		return 0, faultf(ReasonNUL, `%s contains \u0000`, name), nil
	case len(s) > max && utf8.RuneCount(s) > max:
		return 0, faultf(ReasonTooLong, "%s has %d characters, the column holds %d", name, utf8.RuneCount(s), max), nil
	case recurs:
		*to = intern(d.strings, s)
	default:
		*to = string(s)
	}
	return name, nil, nil
}

// properties reads any JSON that jsonb accepts; it is stored as it was received.
func (d *Decoder) properties(to *string) (fields, *fault, error) {
	raw, err := d.json.ReadValue()
	if err != nil {
		return 0, nil, err
	}
	if s, ok := d.sound[string(raw)]; ok {
		*to = s
		return fieldProperties, nil, nil
	}
	if len(raw) > MaxRecord {
		return 0, faultf(ReasonTooLarge, "properties of %d bytes", len(raw)), nil // not worth checking
	}
	if wrong := checkJSONB(raw); wrong != nil {
		return 0, wrong, nil
	}
	if len(raw) <= soundSize {
		*to = intern(d.sound, raw)
	} else {
		*to = string(raw)
	}
	return fieldProperties, nil, nil
}

// checkJSONB finds what jsonb refuses in sound JSON: \u0000, excessive numbers, and excessive nesting.
func checkJSONB(raw []byte) *fault {
	if n := depth(raw); n > maxDepth-1 {
		return faultf(ReasonDepth, "properties are nested %d deep", n)
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(raw))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return nil
		}
		switch token.Kind() {
		case '"':
			if s := token.String(); bytes.IndexByte([]byte(s), 0) >= 0 {
				return faultf(ReasonNUL, `properties contain \u0000`)
			}
		case '0':
			if err := checkNumber(token.String()); err != nil {
				return &fault{ReasonNumber, err}
			}
		}
	}
}

func checkNumber(s string) error {
	digits, exponent := 0, ""
	for i, c := range s {
		if c >= '0' && c <= '9' {
			digits++
		}
		if c == 'e' || c == 'E' {
			exponent = s[i+1:]
			break
		}
	}
	if digits > maxDigits {
		return fmt.Errorf("the number %.50s has %d digits", s, digits)
	}
	if exponent == "" {
		return nil
	}
	if e, err := strconv.Atoi(exponent); err != nil || e > maxExponent || e < -maxExponent {
		return fmt.Errorf("the number %.50s has the exponent %.20s", s, exponent)
	}
	return nil
}
