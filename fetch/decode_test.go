package fetch

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/shard"
)

// fixture reads a recorded answer of the real API. They are not part of the project; where they are absent the test is
// skipped.
func fixture(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "shared", "fixtures", name))
	if os.IsNotExist(err) {
		tb.Skip("the recorded answers are not here")
	}
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func decode(tb testing.TB, raw []byte) *body {
	tb.Helper()
	b, err := newDecoder().page(raw, shard.List)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestRecordedPagesDecodeWithoutAReject(t *testing.T) {
	for name, want := range map[string]int{
		"recorded-list-page-100.json": 100, "recorded-list-page-5000.json": 5000, "recorded-stream-page-5000.json": 5000,
	} {
		b := decode(t, fixture(t, name))
		if len(b.events) != want || len(b.rejects) != 0 || len(b.unknown) != 0 {
			t.Errorf("%s: %d events, %d rejects, unknown fields %v", name, len(b.events), len(b.rejects), b.unknown)
		}
		if !*b.envelope.more() || b.envelope.cursor() == "" || *b.envelope.Meta.Total != 3_000_000 {
			t.Errorf("%s: envelope %+v", name, b.envelope)
		}
	}
}

func TestRecordedListPageEqualsStreamPage(t *testing.T) {
	list := decode(t, fixture(t, "recorded-list-page-5000.json"))
	stream := decode(t, fixture(t, "recorded-stream-page-5000.json"))
	for i := range list.events {
		if list.events[i] != stream.events[i] {
			t.Fatalf("event %d: list %+v, stream %+v", i, list.events[i], stream.events[i])
		}
	}
}

const goodRecord = `{"id":"56a349b5-7243-4e0c-9fd8-f2c1eb2a5d35","sessionId":"0ae5e27f-bcc5-4d99-b744-3ce64d3623a9",` +
	`"userId":"1f2a12b4-1bdc-463d-ba74-f6d849f5b76f","type":"click","name":"event_e8o287","properties":{"page":"/home"},` +
	`"timestamp":1769541612369,"session":{"id":"0ae5e27f-bcc5-4d99-b744-3ce64d3623a9","deviceType":"tablet","browser":"Edge"}}`

// with returns the good record with one piece of it replaced.
func with(old, new string) string {
	if !strings.Contains(goodRecord, old) {
		panic(old + " is not in the record")
	}
	return strings.Replace(goodRecord, old, new, 1)
}

func other(n int) string {
	return with("56a349b5-7243-4e0c-9fd8", fmt.Sprintf("56a349b5-7243-4e0c-%04d", n))
}

func page(records ...string) []byte {
	return fmt.Appendf(nil, `{"data":[%s],"pagination":{"limit":5000,"hasMore":true,"nextCursor":"abc","cursorExpiresIn":116},`+
		`"meta":{"total":3,"returned":%d,"requestId":"x"}}`, strings.Join(records, ","), len(records))
}

// hostile lists records that cannot become a row, and the word for each.
var hostile = []struct {
	name, record string
	reason       Reason
}{
	{"null", `null`, ReasonObject},
	{"number", `17`, ReasonObject},
	{"string", `"a]}{"`, ReasonObject},
	{"array", `[{"id":1},[]]`, ReasonObject},
	{"empty object", `{}`, ReasonMissing},
	{"id null", with(`"56a349b5-7243-4e0c-9fd8-f2c1eb2a5d35"`, `null`), ReasonType},
	{"id number", with(`"56a349b5-7243-4e0c-9fd8-f2c1eb2a5d35"`, `56`), ReasonType},
	{"id empty", with(`"56a349b5-7243-4e0c-9fd8-f2c1eb2a5d35"`, `""`), ReasonUUID},
	{"id in braces", with(`"56a349b5-7243-4e0c-9fd8-f2c1eb2a5d35"`, `"{56a349b5-7243-4e0c-9fd8-f2c1eb2a5d35}"`), ReasonUUID},
	{"id without hyphens", with(`56a349b5-7243-4e0c-9fd8-f2c1eb2a5d35`, `56a349b572434e0c9fd8f2c1eb2a5d35`), ReasonUUID},
	{"id not hex", with(`56a349b5`, `56a349bz`), ReasonUUID},
	{"id missing", with(`"id":"56a349b5-7243-4e0c-9fd8-f2c1eb2a5d35",`, ``), ReasonMissing},
	{"id in another case", with(`"id":"56`, `"ID":"56`), ReasonMissing},
	{"session missing", with(`,"session":{"id":"0ae5e27f-bcc5-4d99-b744-3ce64d3623a9","deviceType":"tablet","browser":"Edge"}`, ``), ReasonMissing},
	{"session null", with(`{"id":"0ae5e27f-bcc5-4d99-b744-3ce64d3623a9","deviceType":"tablet","browser":"Edge"}`, `null`), ReasonType},
	{"device null", with(`"tablet"`, `null`), ReasonType},
	{"timestamp null", with(`1769541612369`, `null`), ReasonTimestamp},
	{"timestamp text", with(`1769541612369`, `"yesterday"`), ReasonTimestamp},
	{"timestamp without zone", with(`1769541612369`, `"2026-01-27T19:20:12.369"`), ReasonTimestamp},
	{"timestamp with a comma", with(`1769541612369`, `"2026-01-27T19:20:12,369Z"`), ReasonTimestamp},
	{"timestamp leap second", with(`1769541612369`, `"2026-01-27T19:20:60Z"`), ReasonTimestamp},
	{"timestamp infinity", with(`1769541612369`, `"infinity"`), ReasonTimestamp},
	{"timestamp in microseconds", with(`1769541612369`, `1769541612369000`), ReasonTimestamp},
	{"timestamp year 600000", with(`1769541612369`, `18870000000000000`), ReasonTimestamp},
	{"timestamp negative", with(`1769541612369`, `-1`), ReasonTimestamp},
	{"timestamp fraction", with(`1769541612369`, `1769541612369.5`), ReasonTimestamp},
	{"timestamp exponent", with(`1769541612369`, `1.7e12`), ReasonTimestamp},
	{"timestamp before 1970", with(`1769541612369`, `"1969-12-31T23:59:59Z"`), ReasonTimestamp},
	{"type too long", with(`"click"`, `"`+strings.Repeat("é", 51)+`"`), ReasonTooLong},
	{"type number", with(`"click"`, `1`), ReasonType},
	{"name with NUL", with(`event_e8o287`, `event\u0000`), ReasonNUL},
	{"properties with NUL", with(`/home`, `a\u0000b`), ReasonNUL},
	{"properties with NUL in a key", with(`"page"`, `"pa\u0000ge"`), ReasonNUL},
	{"properties with a lone surrogate", with(`/home`, `\ud83d`), ReasonSurrogate},
	{"name with swapped surrogates", with(`event_e8o287`, `\ude00\ud83d`), ReasonSurrogate},
	{"properties with invalid UTF-8", with(`/home`, "\xff"), ReasonUTF8},
	{"name with an overlong form", with(`event_e8o287`, "\xc0\x80"), ReasonUTF8},
	{"properties with a name twice", with(`"page":"/home"`, `"a":1,"a":2`), ReasonDuplicateName},
	{"id twice", with(`"type"`, `"id":"56a349b5-7243-4e0c-9fd8-f2c1eb2a5d36","type"`), ReasonDuplicateName},
	{"properties with 1e400", with(`"/home"`, `1e400`), ReasonNumber},
	{"properties with 50 digits", with(`"/home"`, strings.Repeat("9", 50)), ReasonNumber},
	{"properties nested 100 deep", with(`"/home"`, strings.Repeat("[", 100)+strings.Repeat("]", 100)), ReasonDepth},
	{"properties nested 20,000 deep", with(`"/home"`, strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)), ReasonDepth},
	{"larger than 1 MiB", with(`"/home"`, `"`+strings.Repeat("x", maxRecord)+`"`), ReasonTooLarge},
	{"trailing comma", with(`"Edge"}}`, `"Edge",}}`), ReasonSyntax},
	{"NaN", with(`"/home"`, `NaN`), ReasonSyntax},
	{"single quotes", with(`"/home"`, `'home'`), ReasonSyntax},
	{"raw NUL byte", with(`/home`, "\x00"), ReasonSyntax},
}

// TestHostileRecordCostsOnlyItself puts each hostile record first, in the middle, last, alone and twice: the neighbours are
// events, and the record is a reject, byte for byte.
func TestHostileRecordCostsOnlyItself(t *testing.T) {
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			for _, records := range [][]string{
				{h.record}, {h.record, other(1), other(2)}, {other(1), h.record, other(2)}, {other(1), other(2), h.record},
				{h.record, other(1), h.record}, {h.record, h.record},
			} {
				checkHostile(t, decode(t, page(records...)), records, h.record, h.reason)
			}
		})
	}
}

func checkHostile(t *testing.T, b *body, records []string, record string, reason Reason) {
	t.Helper()
	bad := 0
	for _, r := range records {
		if r == record {
			bad++
		}
	}
	if len(b.rejects) != bad || len(b.events) != len(records)-bad {
		t.Fatalf("%d rejects and %d events of %d records, %d of them bad", len(b.rejects), len(b.events), len(records), bad)
	}
	for _, r := range b.rejects {
		kept := record[:min(len(record), maxRecord)]
		if !bytes.Equal(r.Raw, []byte(kept)) || r.RawBytes != len(record) {
			t.Errorf("raw is %.300q of %d bytes", r.Raw, r.RawBytes)
		}
		if r.Reason != string(reason) {
			t.Errorf("reason is %q (%s), want %q", r.Reason, r.Detail, reason)
		}
	}
}

func TestTolerableRecordsAreEvents(t *testing.T) {
	for name, record := range map[string]string{
		"upper case id":            strings.Replace(goodRecord, "56a349b5", "56A349B5", 1),
		"unknown fields":           with(`"type"`, `"extra":{"a":[1]},"type"`),
		"escaped field name":       with(`"id":"56`, `"\u0069d":"56`),
		"emoji of 10 runes":        with(`"tablet"`, `"`+strings.Repeat("😀", 10)+`"`),
		"properties missing":       with(`"properties":{"page":"/home"},`, ``),
		"properties null":          with(`{"page":"/home"}`, `null`),
		"properties numbers":       with(`"/home"`, `[1.10,-0,1e2,9007199254740993]`),
		"RTL, ZWJ, BOM inside":     with(`/home`, "\u202e\u200d\ufeff\uffff"),
		"quotes and backslashes":   with(`/home`, `\"\\N\\.\t\r\n`),
		"SQL":                      with(`/home`, `'); drop table x; $1 %s`),
		"timestamp with an offset": with(`1769541612369`, `"2026-01-27T20:20:12.369999999+01:00"`),
	} {
		b := decode(t, page(record))
		if len(b.events) != 1 {
			t.Errorf("%s: rejected: %s %s", name, b.rejects[0].Reason, b.rejects[0].Detail)
		}
	}
}

func TestTimestampIsCutOffNotRounded(t *testing.T) {
	b := decode(t, page(with(`1769541612369`, `"2026-01-27T19:20:12.999999999Z"`)))
	if got := b.events[0].At.String(); got != "2026-01-27T19:20:12.999999Z" {
		t.Error(got)
	}
}

func TestFlatBodyIsAccepted(t *testing.T) {
	b := decode(t, []byte(`{"data":[`+goodRecord+`],"hasMore":false,"nextCursor":null}`))
	if len(b.events) != 1 || *b.envelope.more() || b.envelope.cursor() != "" {
		t.Errorf("%+v", b)
	}
}

// TestEveryCutOfAPageIsRefused: a body that was cut anywhere is no page.
func TestEveryCutOfAPageIsRefused(t *testing.T) {
	whole := page(goodRecord, other(1))
	for n := range whole {
		if b, err := newDecoder().page(whole[:n], shard.List); err == nil {
			t.Fatalf("cut after %d bytes of %d: accepted as %+v", n, len(whole), b)
		}
	}
	if b := decode(t, whole); len(b.events) != 2 {
		t.Errorf("%d events", len(b.events))
	}
}

func TestWhatIsNoPageIsRefused(t *testing.T) {
	for _, raw := range []string{
		``, `null`, `"text"`, `[]`, `{}`, `<html>502</html>`, `{"data":null,"hasMore":false}`, `{"data":{},"hasMore":false}`,
		`{"data":[]}`, `{"data":[],"hasMore":"true"}`, `{"data":[],"hasMore":1}`, `{"data":[],"hasMore":null}`,
		`{"error":"Too bad","data":[],"hasMore":false}`, `{"data":[],"hasMore":false}{}`, `{"data":[],"hasMore":false} x`,
		`{"data":[],"HASMORE":false}`, `{"data":[],"ha` + "\u017f" + `More":false}`, `{"data":[],"hasMore":false,"hasMore":true}`,
		`{"data":[],"data":[],"hasMore":false}`, `)]}'{"data":[],"hasMore":false}`,
		`{"data":[` + goodRecord + `],"hasMore":false,"meta":{"returned":2}}`,
		`{"data":[` + goodRecord + `,],"hasMore":false,"meta":{"returned":1}}`,
	} {
		if b, err := newDecoder().page([]byte(raw), shard.List); err == nil {
			t.Errorf("%s: accepted as %+v", raw, b)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(page(goodRecord))
	for _, h := range hostile {
		if len(h.record) < 1<<16 {
			f.Add(page(h.record, other(1)))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := newDecoder()
		b, err := d.page(raw, shard.Stream)
		if err != nil {
			return
		}
		for _, r := range b.rejects {
			if r.Reason == "" || !bytes.Contains(raw, r.Raw) {
				t.Errorf("reject %+v is not in the body", r)
			}
		}
		again, err := d.page(raw, shard.Stream)
		if err != nil || again.received() != b.received() {
			t.Errorf("decoded again: %v, %d records, %d before", err, again.received(), b.received())
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	records := make([]string, 5000)
	for i := range records {
		records[i] = other(i)
	}
	raw, d := page(records...), newDecoder()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.page(raw, shard.List); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/event")
}
