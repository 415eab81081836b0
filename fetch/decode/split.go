package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/shard"
)

// split decodes a body whose records are not all sound JSON. The envelope is still read strictly. The records are separated by brackets
// and strings alone, and each is read by itself; one that can't be read is a reject.
func (d *Decoder) split(raw []byte) (*Page, error) {
	d.json.Reset(bytes.NewBuffer(raw), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	first, err := d.seekRecords()
	if err != nil {
		return nil, err
	}
	records, last, err := spans(raw, int(first), d.MaxRecords)
	if err != nil {
		return nil, err
	}
	b := &Page{}
	for _, record := range records {
		d.single(b, record)
	}
	return b, d.readEnvelope(&b.envelope, raw, first, int64(last))
}

// single decodes one record that stands alone.
func (d *Decoder) single(b *Page, raw []byte) {
	d.json.Reset(bytes.NewBuffer(raw))
	events, rejects := len(b.Events), len(b.Rejects)
	err := d.record(b, raw)
	if err == nil {
		// Not PeekKind, which takes a byte that is no JSON for the end.
		if _, err = d.json.ReadToken(); err == io.EOF {
			return
		}
		err = fmt.Errorf("something follows the record: %v", err)
	}
	b.Events = b.Events[:events]
	b.Rejects = append(b.Rejects[:rejects], reject(raw, "", syntaxReason(raw, err), err))
}

// Record decodes the bytes of one record, such as a dead letter that an older version of the program has rejected. If the reject is not
// nil, it says why the record is still not an event.
func Record(raw []byte) (shard.Event, *shard.Reject) {
	b := &Page{}
	New().single(b, raw)
	if len(b.Rejects) > 0 {
		return shard.Event{}, &b.Rejects[0]
	}
	return b.Events[0], nil
}

// syntaxReason returns the reason of a record that is not sound JSON.
func syntaxReason(raw []byte, err error) Reason {
	switch {
	case !utf8.Valid(raw):
		return ReasonUTF8
	case errors.Is(err, jsontext.ErrDuplicateName):
		return ReasonDuplicateName
	case depth(raw) > maxDepth:
		return ReasonDepth
	case bytes.Contains(bytes.ToLower(raw), []byte(`\ud`)):
		return ReasonSurrogate
	}
	return ReasonSyntax
}

// ErrUnbalanced means that the records of a page can't be told apart, because brackets or quotes do not match.
var ErrUnbalanced = errors.New("its records are not balanced")

// spans separates the records of an array, whose first byte after the bracket is at first, and returns the offset after the closing
// bracket. It knows strings and brackets and nothing else of JSON.
func spans(raw []byte, first, max int) (records [][]byte, last int, err error) {
	level, from := 0, first
	for i, c := range unquotedMarks(raw, first) {
		switch {
		case c == '{' || c == '[':
			level++
		case level > 0 && c != ',':
			level--
		case len(records) > max:
			return nil, 0, ErrTooMany
		case c == '}':
			return nil, 0, fmt.Errorf("%w: %w", ErrNoPage, ErrUnbalanced)
		case level == 0:
			record := bytes.Trim(raw[from:i], " \t\r\n") // JSON's white space, which is less than Unicode's
			if len(record) > 0 || c == ',' || len(records) > 0 {
				records = append(records, record)
			}
			if c == ']' {
				return records, i + 1, nil
			}
			from = i + 1
		}
	}
	return nil, 0, fmt.Errorf("%w: %w", ErrNoPage, ErrUnbalanced)
}

// depth returns how deep the brackets of a record are nested.
func depth(raw []byte) int {
	level, deepest := 0, 0
	for _, c := range unquotedMarks(raw, 0) {
		switch c {
		case '{', '[':
			level++
			deepest = max(deepest, level)
		case '}', ']':
			level--
		}
	}
	return deepest
}

// unquotedMarks yields the brackets and commas that are not in a string, from offset first on, with their offsets.
func unquotedMarks(raw []byte, first int) iter.Seq2[int, byte] {
	return func(yield func(int, byte) bool) {
		quoted := false
		for i := first; i < len(raw); i++ {
			switch c := raw[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '{', c == '[', c == '}', c == ']', c == ',':
				if !yield(i, c) {
					return
				}
			}
		}
	}
}
