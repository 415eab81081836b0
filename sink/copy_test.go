package sink

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/shard"
)

// newCopyStream is a stream of all rows.
func newCopyStream(staged bool, batches ...*prepared) *copyStream {
	m := newMerge(batches...)
	return &copyStream{merge: m, staged: staged, until: m.total}
}

func TestCopyStreamIsAReader(t *testing.T) {
	l := loadOf(t, events(0, 2000)...)
	whole, err := io.ReadAll(newCopyStream(false, l))
	must(t, err)
	if err := iotest.TestReader(newCopyStream(false, l), whole); err != nil {
		t.Error(err)
	}
	piecewise, err := io.ReadAll(iotest.OneByteReader(newCopyStream(false, l)))
	must(t, err)
	if !bytes.Equal(whole, piecewise) {
		t.Error("read in single bytes it is another stream")
	}
}

func TestOrderIsByID(t *testing.T) {
	l := loadOf(t, events(0, 500)...)
	for i := 1; i < len(l.order); i++ {
		a, b := l.order[i-1].ID, l.order[i].ID
		if bytes.Compare(a[:], b[:]) >= 0 {
			t.Fatalf("row %d: %s before %s", i, a, b)
		}
	}
}

// PostgreSQL itself judges the encoding: it must return what was sent.
func TestValuesRoundTrip(t *testing.T) {
	b := newBench(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		in := drawEvents(r, n)
		_, err := b.Commit(t.Context(), batch(b.begin(t, 1), in))
		must(t, err)
		for i := range in {
			if got := b.stored(t, in[i].ID); got != in[i] {
				r.Fatalf("stored %+v\nas     %+v", in[i], got)
			}
		}
	})
}

func drawEvents(r *rapid.T, check int) []shard.Event {
	text := func(label string, runes int) string {
		return rapid.StringN(0, runes, -1).Filter(func(s string) bool {
			return utf8.ValidString(s) && !bytes.ContainsRune([]byte(s), 0)
		}).Draw(r, label)
	}
	in := make([]shard.Event, rapid.IntRange(1, 4).Draw(r, "events"))
	for i := range in {
		in[i] = shard.Event{
			ID:      uuid.NewSHA1(uuid.Nil, []byte{byte(check), byte(check >> 8), byte(i)}),
			Session: uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "session")),
			User:    uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "user")),
			At:      shard.Instant(rapid.Int64Range(0, 7_258_118_400_000_000).Draw(r, "at")), // 1970 to 2200
			Type:    text("type", 50), Name: text("name", 100), Device: text("device", 20), Browser: text("browser", 50),
			Properties: rapid.SampledFrom([]string{
				`{}`, `{"a": 1.10}`, `{"a": -0.00001}`, `{"n": 12345678901234567890123456789}`, `{"q": "\"\\\n\t"}`, `[]`, `null`,
				`{"ключ": "ñ 日本 🎉"}`, `{"e": [1, 2.50, true, null, {"d": ""}]}`, `"text"`, `9007199254740993`,
			}).Draw(r, "properties"),
		}
	}
	return in
}

// stored reads an event back, with properties as PostgreSQL writes them.
func (b *bench) stored(tb testing.TB, id uuid.UUID) (e shard.Event) {
	tb.Helper()
	const selectEvent = `
select id, session_id, user_id, (extract(epoch from "timestamp") * 1000000)::bigint, type, name, properties::text, device_type, browser
from ingested_events where id = $1`
	must(tb, b.pool.QueryRow(tb.Context(), selectEvent, id).Scan(&e.ID, &e.Session, &e.User, &e.At, &e.Type, &e.Name, &e.Properties, &e.Device, &e.Browser))
	return e
}

func loadOf(tb testing.TB, events ...shard.Event) *prepared {
	tb.Helper()
	in := batch(shard.Checkpoint{}, events)
	l, err := prepare(&in)
	must(tb, err)
	return l
}

func BenchmarkEncode(b *testing.B) {
	l := loadOf(b, events(0, 20_000)...)
	bytes, err := io.Copy(io.Discard, newCopyStream(false, l))
	must(b, err)
	b.SetBytes(bytes)
	b.ReportAllocs()
	for b.Loop() {
		fresh, err := prepare(l.Batch) // sorting belongs to it
		must(b, err)
		if _, err := io.Copy(io.Discard, newCopyStream(false, fresh)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*20_000/b.Elapsed().Seconds(), "rows/s")
}

func TestTheRowsOfManyLoadsAreMerged(t *testing.T) {
	var loads []*prepared
	var want []shard.Event
	for n, rows := range []int{700, 0, 1, 350, 4} {
		in := events(n*1000, rows)
		b := batch(shard.Checkpoint{}, in)
		want = append(want, in...)
		l, err := prepare(&b)
		must(t, err)
		loads = append(loads, l)
	}
	slices.SortFunc(want, func(a, b shard.Event) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	m := newMerge(loads...)
	equal(t, "total", m.total, len(want))
	for i := range want {
		if e := m.event(); e == nil || *e != want[i] {
			t.Fatalf("row %d of the merge is %v, not %v", i, e, want[i])
		}
		equal(t, "given", m.given, i+1)
	}
	if e := m.event(); e != nil {
		t.Errorf("after the last row there is %v", e)
	}
}
