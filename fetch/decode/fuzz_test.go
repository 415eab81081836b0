package decode

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/fetch/hostile"
	"sluice/shard"
)

// corpus returns the records of the hostile corpus that are short enough to be mutated.
func corpus() (records []string) {
	for _, h := range slices.Concat(hostile.Rejected, hostile.Tolerable) {
		if raw := spoiled(&h); len(raw) < 1<<10 {
			records = append(records, raw)
		}
	}
	return records
}

// FuzzDecode: whatever a body holds, every record in it becomes an event that every column accepts, or a reject byte for byte; and the
// decoder is as good for the next page as a new one.
func FuzzDecode(f *testing.F) {
	for _, record := range corpus() {
		f.Add(page(record, other(1)))
	}
	f.Add(append([]byte("\xef\xbb\xbf"), page(goodRecord)...))
	f.Add([]byte(`{"data":[` + goodRecord + `],"hasMore":false,"nextCursor":null}`))
	d := New()
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := d.Page(raw, "stream")
		fresh, freshErr := New().Page(raw, "stream")
		if (err == nil) != (freshErr == nil) || err == nil && !(reflect.DeepEqual(b.Events, fresh.Events) && reflect.DeepEqual(b.Rejects, fresh.Rejects)) {
			t.Fatalf("a used decoder: %+v, %v; a new one: %+v, %v", b, err, fresh, freshErr)
		}
		if err != nil {
			return
		}
		if n, ok := countRecords(raw); ok && n != b.Received() {
			t.Errorf("%d records received, another decoder counts %d", b.Received(), n)
		}
		for i := range b.Rejects {
			checkReject(t, raw, &b.Rejects[i])
		}
		for i := range b.Events {
			checkEvent(t, &b.Events[i])
		}
	})
}

// countRecords counts with another decoder, which it can if all is JSON and no name can be taken for another.
func countRecords(raw []byte) (int, bool) {
	var b struct {
		Data []json.RawMessage `json:"data"`
	}
	if bytes.Contains(raw, []byte(`\`)) || strings.Count(strings.ToLower(string(raw)), `"data"`) != 1 || json.Unmarshal(raw, &b) != nil {
		return 0, false
	}
	return len(b.Data), true
}

func checkReject(t *testing.T, raw []byte, r *shard.Reject) {
	t.Helper()
	if r.Reason == "" || r.Detail == "" || !bytes.Contains(raw, r.Raw) || r.RawBytes < len(r.Raw) {
		t.Errorf("reject %+v of the body %q", r, raw)
	}
	if e, again := Record(r.Raw); r.RawBytes == len(r.Raw) && (again == nil || again.Reason != r.Reason) {
		t.Errorf("%q was rejected as %s, and alone it is %+v, %+v", r.Raw, r.Reason, e, again)
	}
}

// checkEvent checks that the columns accept an event, and that it is the same after being written and read again.
func checkEvent(t *testing.T, e *shard.Event) {
	t.Helper()
	for _, c := range []struct {
		text string
		most int
	}{{e.Type, 50}, {e.Name, 100}, {e.Device, 20}, {e.Browser, 50}} {
		if !utf8.ValidString(c.text) || strings.Contains(c.text, "\x00") || utf8.RuneCountInString(c.text) > c.most {
			t.Errorf("a column of %d characters does not take %q", c.most, c.text)
		}
	}
	if !json.Valid([]byte(e.Properties)) || e.At < earliest || e.At >= latest {
		t.Errorf("%+v is no event", e)
	}
	if again, reject := Record(written(e)); reject != nil || again != *e {
		t.Errorf("%+v was written and read again as %+v, %+v", e, again, reject)
	}
}

// written writes an event in the API's form. Properties are written as they are: white space in them counts.
func written(e *shard.Event) []byte {
	q := func(s string) []byte {
		b, _ := json.Marshal(s) // a string is always encoded
		return b
	}
	return fmt.Appendf(nil, `{"id":%q,"sessionId":%q,"userId":%q,"type":%s,"name":%s,"properties":%s,"timestamp":%q,"session":{"deviceType":%s,"browser":%s}}`,
		e.ID, e.Session, e.User, q(e.Type), q(e.Name), e.Properties, e.At, q(e.Device), q(e.Browser))
}

// FuzzDecodeRecord: the bytes of a dead letter are an event or a reject, whatever they are, never both, and never a panic.
func FuzzDecodeRecord(f *testing.F) {
	for _, record := range corpus() {
		f.Add([]byte(record))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, reject := Record(raw)
		if reject == nil {
			checkEvent(t, &e)
			return
		}
		if e != (shard.Event{}) {
			t.Errorf("%q is rejected, and yet the event %+v", raw, e)
		}
		if reject.Reason != string(ReasonSyntax) && len(raw) != reject.RawBytes {
			raw = bytes.Trim(raw, " \t\r\n") // white space around a record is no part of it
		}
		if reject.RawBytes != len(raw) || !bytes.Equal(reject.Raw, raw[:min(len(raw), MaxRecord)]) || reject.Reason == "" {
			t.Errorf("reject %+v of %q", reject, raw)
		}
	})
}

// The parts of a timestamp that means one instant: its date, its minute, seconds, fraction, hours and minutes of its zone.
var unambiguous = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):[0-5]\d)(:[0-5]\d)?(?:[.,](\d+))? ?(?:[Zz]|(?i:UTC|GMT)|([+-](?:[01]\d|2[0-3])):?([0-5]\d)?)$`)

// FuzzTimestamp: a text means one instant or is a dead letter, a number is milliseconds or a dead letter; what was read is
// written and read as the same instant.
func FuzzTimestamp(f *testing.F) {
	for _, s := range []string{"2026-01-27T19:20:12.999999999Z", "2026-01-27T1:20:12Z", "2026-01-27T19:20:12,5Z", "2026-01-27T19:20:60Z", "infinity",
		"2026-01-27T19:20:12+24:00", "2026-01-27t19:20:12z", "1969-12-31T23:59:59.9999999Z", "2200-01-01T00:00:00+00:01", "0000-01-01T00:00:00Z",
		"2024-02-29T00:00:00-23:59", "2026-01-27 19:20:12Z", "294277-01-01T00:00:00Z", "", "2026-01-27T19:20Z", "2026-01-27 19:20:12 UTC",
		"2026-01-27T19:20:12+0130", "2026-01-27T19:20:12-01", "1769541612369", "1.769541612369E12", "1769541612369.5", "2026-01-27T19:20:12 CET"} {
		f.Add(s, int64(1769541612369))
	}
	f.Fuzz(func(t *testing.T, text string, ms int64) {
		if e, reject := Record([]byte(with(`1769541612369`, fmt.Sprint(ms)))); (reject == nil) != (ms >= leastMillis && ms < int64(latest)/1000) {
			t.Errorf("%d ms: %s, %+v", ms, e.At, reject)
		} else if reject == nil && (int64(e.At) != ms*1000 || reread(t, e.At) != e.At) {
			t.Errorf("%d ms is read as %s", ms, e.At)
		}
		if !utf8.ValidString(text) {
			return
		}
		quoted, _ := json.Marshal(text)
		e, reject := Record([]byte(with(`1769541612369`, string(quoted))))
		if reject != nil {
			return
		}
		text = strings.TrimSpace(text)
		if isNumber(text) {
			if ms, err := strconv.ParseFloat(text, 64); err != nil || math.Abs(ms*1000-float64(e.At)) > 1000 {
				t.Errorf("%q is read as %s", text, e.At)
			}
			return
		}
		exact, err := time.Parse("2006-01-02 15:04:05.999999999Z07:00", plainly(text))
		if err != nil || reread(t, e.At) != e.At {
			t.Errorf("%q is read as %s: %v", text, e.At, err)
		}
		if off := exact.Sub(e.At.Time()); off < 0 || off >= time.Microsecond {
			t.Errorf("%q is read as %s, %s off", text, e.At, off)
		}
	})
}

// plainly writes the parts of a timestamp in one form.
func plainly(text string) string {
	p := unambiguous.FindStringSubmatch(text)
	if p == nil {
		return ""
	}
	return p[1] + " " + p[2] + cmp.Or(p[3], ":00") + "." + cmp.Or(p[4], "0") + cmp.Or(p[5], "+00") + ":" + cmp.Or(p[6], "00")
}

func reread(t *testing.T, at shard.Instant) shard.Instant {
	t.Helper()
	e, reject := Record([]byte(with(`1769541612369`, fmt.Sprintf("%q", at))))
	if reject != nil {
		t.Errorf("%s is not read again: %s", at, reject.Detail)
	}
	return e.At
}
