package decode

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/fetch/hostile"
)

// fixture reads a recorded answer of the real API. The recordings are not part of the project; without them the test is skipped.
func fixture(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "fixtures", name))
	if os.IsNotExist(err) {
		tb.Skip("the recorded answers are not here")
	}
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func decode(tb testing.TB, raw []byte) *Page {
	tb.Helper()
	b, err := New().Page(raw, "list")
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
		if len(b.Events) != want || len(b.Rejects) != 0 || len(b.Unknown) != 0 {
			t.Errorf("%s: %d events, %d rejects, unknown fields %v", name, len(b.Events), len(b.Rejects), b.Unknown)
		}
		if !*b.envelope.more() || b.envelope.cursor() == "" || string(b.envelope.meta().Total) != "3000000" {
			t.Errorf("%s: envelope %+v", name, b.envelope)
		}
	}
}

func TestRecordedListPageEqualsStreamPage(t *testing.T) {
	list := decode(t, fixture(t, "recorded-list-page-5000.json"))
	stream := decode(t, fixture(t, "recorded-stream-page-5000.json"))
	for i := range list.Events {
		if list.Events[i] != stream.Events[i] {
			t.Fatalf("event %d: list %+v, stream %+v", i, list.Events[i], stream.Events[i])
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

// TestHostileRecordCostsOnlyItself puts each hostile record first, in the middle, last, alone and twice: the neighbours are
// events, and the record is a reject, byte for byte.
func TestHostileRecordCostsOnlyItself(t *testing.T) {
	for _, h := range slices.Concat(hostile.Rejected, hostile.Large) {
		t.Run(h.Name, func(t *testing.T) {
			bad := spoiled(&h)
			layouts := [][]string{
				{other(1), bad, other(2)}, {bad}, {bad, other(1), other(2)}, {other(1), other(2), bad}, {bad, other(1), bad}, {bad, bad},
			}
			if len(bad) > MaxRecord {
				layouts = layouts[:1]
			}
			for _, records := range layouts {
				checkHostile(t, decode(t, page(records...)), records, bad, h.Reason)
			}
		})
	}
}

// spoiled returns a record of the corpus, in place of the good one.
func spoiled(h *hostile.Case) string {
	return string(h.Raw("56a349b5-7243-4e0c-9fd8-f2c1eb2a5d35", time.UnixMilli(1769541612369)))
}

func checkHostile(t *testing.T, b *Page, records []string, record, reason string) {
	t.Helper()
	bad := 0
	for _, r := range records {
		if r == record {
			bad++
		}
	}
	if len(b.Rejects) != bad || len(b.Events) != len(records)-bad {
		t.Fatalf("%d rejects and %d events of %d records, %d of them bad", len(b.Rejects), len(b.Events), len(records), bad)
	}
	for _, r := range b.Rejects {
		kept := record[:min(len(record), MaxRecord)]
		if !bytes.Equal(r.Raw, []byte(kept)) || r.RawBytes != len(record) {
			t.Errorf("raw is %.300q of %d bytes", r.Raw, r.RawBytes)
		}
		if r.Reason != reason {
			t.Errorf("reason is %q (%s), want %q", r.Reason, r.Detail, reason)
		}
	}
}

func TestTolerableRecordsAreEvents(t *testing.T) {
	for _, h := range slices.Concat(hostile.Tolerable, hostile.Heavy) {
		b := decode(t, page(other(1), spoiled(&h), other(2)))
		if len(b.Events) != 3 {
			t.Errorf("%s: rejected: %s %s", h.Name, b.Rejects[0].Reason, b.Rejects[0].Detail)
		}
	}
}

// TestWhatFollowsARecordIsNotOverlooked: a record followed by a word, a byte or a comment became a row, because the check for the end
// took everything that is no JSON for it.
func TestWhatFollowsARecordIsNotOverlooked(t *testing.T) {
	for _, behind := range []string{"x", " x", "1", `"a"`, "{}", "\x00", "tru", " // no", "\u00a0", "\v"} {
		record := goodRecord + behind
		checkHostile(t, decode(t, page(other(1), record, other(2))), []string{other(1), record, other(2)}, record, string(ReasonSyntax))
	}
}

// TestARecordIsRejectedOnce: a record with a fault of content and one of syntax became two rejects, and the page was refused because it
// announced fewer records.
func TestARecordIsRejectedOnce(t *testing.T) {
	for _, record := range []string{`{}{}`, `000`, `null, x`, `{"id":1} x`, `17 18`} {
		records := append([]string{other(1)}, strings.Split(record, ",")...)
		if b := decode(t, page(records...)); len(b.Rejects) != len(records)-1 || len(b.Events) != 1 {
			t.Errorf("%s: %d rejects, %d events", record, len(b.Rejects), len(b.Events))
		}
	}
}

// TestTimestampsThatGoReadsAndRFC3339DoesNot: an hour of one digit and wide zones became rows.
func TestTimestampsThatGoReadsAndRFC3339DoesNot(t *testing.T) {
	for _, text := range []string{"T1:00:00Z", "T01:00:00+24:00", "T01:00:00-10:60", "T1:00:00.5+01:00"} {
		b := decode(t, page(with(`1769541612369`, `"2026-01-27`+text+`"`)))
		if len(b.Rejects) != 1 || b.Rejects[0].Reason != string(ReasonTimestamp) {
			t.Errorf("%s is taken as %s", text, b.Events[0].At)
		}
	}
}

func TestTimestampIsCutOffNotRounded(t *testing.T) {
	for text, want := range map[string]string{
		`"2026-01-27T19:20:12.999999999Z"`: "2026-01-27T19:20:12.999999Z",
		`1769541612999.9999`:               "2026-01-27T19:20:12.999999Z",
	} {
		b := decode(t, page(with(`1769541612369`, text)))
		if got := b.Events[0].At.String(); got != want {
			t.Errorf("%s is read as %s", text, got)
		}
	}
}

// TestOneInstantInManyForms: forms that can mean one instant only were dead letters.
func TestOneInstantInManyForms(t *testing.T) {
	for _, text := range []string{
		`"2026-01-27T19:20:12.369Z"`, `"2026-01-27t19:20:12.369z"`, `"2026-01-27 19:20:12.369Z"`, `"2026-01-27 19:20:12,369 UTC"`,
		`"2026-01-27T20:20:12.369+0100"`, `"2026-01-27T18:20:12.369-01"`, `"2026-01-27T19:20:12.369000000+00:00"`, ` "1769541612369" `,
		`1769541612369.0`, `1.769541612369E12`, `"1769541612369.000"`,
	} {
		b := decode(t, page(with(`1769541612369`, text)))
		if len(b.Events) != 1 || b.Events[0].At != 1769541612369000 {
			t.Errorf("%s: %+v %+v", text, b.Events, b.Rejects)
		}
	}
}

// TestSecondsAreNoMilliseconds: an API that writes seconds filled January 1970.
func TestSecondsAreNoMilliseconds(t *testing.T) {
	for _, text := range []string{`1769541612`, `1769541612.369`, `"1769541612"`, `1.769541612e9`, `29492360`, `99999999999`} {
		if b := decode(t, page(with(`1769541612369`, text))); len(b.Rejects) != 1 || b.Rejects[0].Reason != string(ReasonTimestamp) {
			t.Errorf("%s is taken as %s", text, b.Events[0].At)
		}
	}
}

func TestFlatBodyIsAccepted(t *testing.T) {
	b := decode(t, []byte(`{"data":[`+goodRecord+`],"hasMore":false,"nextCursor":null}`))
	if len(b.Events) != 1 || *b.envelope.more() || b.envelope.cursor() != "" {
		t.Errorf("%+v", b)
	}
}

// TestAdviceOfAnyType: a total in quotes, or an error that is null, cost the whole page.
func TestAdviceOfAnyType(t *testing.T) {
	body := func(limit, life, total, returned, fault string) []byte {
		return fmt.Appendf(nil, `{"data":[%s],"pagination":{"limit":%s,"hasMore":true,"nextCursor":"x","cursorExpiresIn":%s},"meta":{"total":%s,"returned":%s},"error":%s}`,
			goodRecord, limit, life, total, returned, fault)
	}
	for _, raw := range [][]byte{
		body(`5`, `120`, `30000`, `1`, `null`), body(`"5"`, `"120"`, `"30000"`, `"1"`, `""`), body(`5.0`, `120.0`, `30000.0`, `1.0`, `false`), body(`5`, `1.2e2`, `3e4`, `1`, `{}`),
	} {
		b := decode(t, raw)
		total, told := b.Total()
		if life, ok := b.CursorLife(); b.Limit() != 5 || !ok || life != 2*time.Minute || !told || total != 30000 || !b.More() || b.Cursor() != "x" {
			t.Errorf("%s: %d, %s, %d", raw, b.Limit(), life, total)
		}
	}
	for _, v := range []string{`null`, `true`, `"many"`, `[]`, `{"about":5}`, `-1`, `""`, `1e400`} {
		b := decode(t, body(v, v, v, v, `null`))
		total, told := b.Total()
		if life, _ := b.CursorLife(); b.Limit() != 0 || told || life != 0 && v != `1e400` || len(b.Events) != 1 {
			t.Errorf("%s: %d, %s, %d", v, b.Limit(), life, total)
		}
	}
	for _, v := range []string{`null`, `[]`, `7`, `"x"`} {
		if b := decode(t, fmt.Appendf(nil, `{"data":[%s],"hasMore":false,"meta":%s}`, goodRecord, v)); len(b.Events) != 1 {
			t.Errorf("meta %s", v)
		}
	}
}

// TestEveryCutOfAPageIsRefused: a body that is cut off anywhere is not a page.
func TestEveryCutOfAPageIsRefused(t *testing.T) {
	whole := page(goodRecord, other(1))
	for n := range whole {
		if b, err := New().Page(whole[:n], "list"); err == nil {
			t.Fatalf("cut after %d bytes of %d: accepted as %+v", n, len(whole), b)
		}
	}
	if b := decode(t, whole); len(b.Events) != 2 {
		t.Errorf("%d events", len(b.Events))
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
		if b, err := New().Page([]byte(raw), "list"); err == nil {
			t.Errorf("%s: accepted as %+v", raw, b)
		}
	}
}

// A record that lacks a column is a reject, and so is one that is too large anywhere.
func TestNoColumnIsMadeUp(t *testing.T) {
	for field, piece := range map[string]string{
		"id":                 `"id":"56a349b5-7243-4e0c-9fd8-f2c1eb2a5d35",`,
		"sessionId":          `"sessionId":"0ae5e27f-bcc5-4d99-b744-3ce64d3623a9",`,
		"userId":             `"userId":"1f2a12b4-1bdc-463d-ba74-f6d849f5b76f",`,
		"type":               `"type":"click",`,
		"name":               `"name":"event_e8o287",`,
		"timestamp":          `"timestamp":1769541612369,`,
		"session.deviceType": `"deviceType":"tablet",`,
		"session.browser":    `,"browser":"Edge"`,
	} {
		b := decode(t, page(with(piece, "")))
		if len(b.Rejects) != 1 || b.Rejects[0].Reason != string(ReasonMissing) || !strings.HasPrefix(b.Rejects[0].Detail, field+" ") {
			t.Errorf("without %s: %+v", field, b.Rejects)
		}
	}
	large := with(`"type":"click"`, `"type":"click","more":"`+strings.Repeat("x", MaxRecord)+`"`)
	if b := decode(t, page(large)); len(b.Rejects) != 1 || b.Rejects[0].Reason != string(ReasonTooLarge) {
		t.Errorf("a record of %d bytes is taken", len(large))
	}
}

func BenchmarkDecode(b *testing.B) {
	records := make([]string, 5000)
	for i := range records {
		records[i] = other(i)
	}
	raw, d := page(records...), New()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Page(raw, "list"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/event")
}
