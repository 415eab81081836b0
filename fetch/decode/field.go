package decode

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"sluice/shard"
)

// Timestamps outside these years are dead letters: the unit is wrong, or the clock.
var (
	earliest = shard.Instant(0)
	latest   = shard.InstantOf(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC))
)

const (
	// maxDepth of a record. PostgreSQL's parser ends between 12,000 and 20,000, json/v2's at 10,000.
	maxDepth = 64
	// maxDigits and maxExponent keep a number's text small: jsonb turns 1e131071 into 131,072 digits.
	maxDigits   = 40
	maxExponent = 308
	// soundSize is the longest of the properties that are known again.
	soundSize = 64
)

// unquote returns the content of a JSON string. The slice is good until the next read.
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

// text reads a string of at most so many characters. again says that its values come again and again.
func (d *Decoder) text(to *string, name fields, most int, again bool) (fields, *fault, error) {
	s, wrong, err := d.str(name)
	switch {
	case wrong != nil || err != nil:
		return 0, wrong, err
	case bytes.IndexByte(s, 0) >= 0:
		return 0, faultf(ReasonNUL, `%s contains \u0000`, name), nil
	case len(s) > most && utf8.RuneCount(s) > most:
		return 0, faultf(ReasonTooLong, "%s has %d characters, the column holds %d", name, utf8.RuneCount(s), most), nil
	case again:
		*to = intern(d.strings, s)
	default:
		*to = string(s)
	}
	return name, nil, nil
}

// timestamp reads epoch milliseconds or RFC 3339 with a zone. The unit is fixed: a number is never guessed to be seconds.
func (d *Decoder) timestamp(to *shard.Instant) (fields, *fault, error) {
	kind := d.json.PeekKind()
	raw, err := d.json.ReadValue()
	if err != nil {
		return 0, nil, err
	}
	var at shard.Instant
	switch kind {
	case '0':
		ms, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || ms > int64(latest)/1000 || ms < int64(earliest) {
			return 0, faultf(ReasonTimestamp, "timestamp %.50s is not in epoch milliseconds from 1970 to 2200", raw), nil
		}
		at = shard.Instant(ms * 1000)
	case '"':
		s, err := d.unquote(raw)
		if err != nil {
			return 0, nil, err
		}
		t, ok := rfc3339(s)
		if !ok {
			return 0, faultf(ReasonTimestamp, "timestamp %.50q is not RFC 3339 with a zone", s), nil
		}
		at = shard.InstantOf(t)
	default:
		return 0, faultf(ReasonTimestamp, "timestamp is %s", kindName(kind)), nil
	}
	if at < earliest || at >= latest {
		return 0, faultf(ReasonTimestamp, "timestamp %s is not from 1970 to 2200", at), nil
	}
	*to = at
	return fieldTimestamp, nil, nil
}

// rfc3339 reads a time with its zone. Go's own reading is laxer: it takes an hour of one digit, a comma before the fraction,
// and zones of 24 hours or 60 minutes.
func rfc3339(s []byte) (t time.Time, ok bool) {
	const hourEnds, zoneSize = len("2006-01-02T15"), len("+07:00")
	if err := t.UnmarshalText(s); err != nil || s[hourEnds] != ':' || bytes.IndexByte(s, ',') >= 0 {
		return t, false
	}
	zone := string(s[len(s)-zoneSize:])
	return t, s[len(s)-1] == 'Z' || zone[1:3] <= "23" && zone[4:] <= "59"
}

// properties reads any JSON that jsonb holds; it is stored as it was received.
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
		return 0, faultf(ReasonTooLarge, "properties of %d bytes", len(raw)), nil // not worth another look
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

// checkJSONB finds what jsonb refuses in sound JSON: \u0000, numbers out of measure, and nesting.
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
