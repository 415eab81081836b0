package decode

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"sluice/shard"
)

// isoRecord is the good record with its timestamp as text, as two thirds of the list's records have it.
var isoRecord = with(`1769541612369`, `"2026-01-27T19:20:12.369Z"`)

// readsTheSame compares the two ways to read the head of raw, and reports whether the fast one accepts it.
func readsTheSame(t *testing.T, d *Decoder, raw []byte) bool {
	t.Helper()
	var fast shard.Event
	size := d.ordinary(&fast, raw)
	if size == 0 {
		return false
	}
	if strict, reject := Record(raw[:size]); reject != nil || strict != fast {
		t.Errorf("%q is read as %+v, strictly as %+v, %+v", raw[:size], fast, strict, reject)
	}
	return true
}

// warmed returns a decoder that has read the good records, so that it knows their properties and their day.
func warmed(t testing.TB) *Decoder {
	d := New()
	if _, err := d.Page(page(goodRecord, isoRecord), "list"); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRecordsOfTheAPIAreOrdinary: otherwise all of them would be read the slow way, and only the benchmark would show it.
func TestRecordsOfTheAPIAreOrdinary(t *testing.T) {
	for _, record := range []string{goodRecord, isoRecord, goodRecord + `,{"id":`, isoRecord + "]"} {
		if !readsTheSame(t, warmed(t), []byte(record)) {
			t.Errorf("%s is not ordinary", record)
		}
	}
}

// TestEveryByteIsReadTheSame: every byte of a record in turn is taken out, doubled, and becomes every other byte.
func TestEveryByteIsReadTheSame(t *testing.T) {
	d := warmed(t)
	for _, record := range []string{goodRecord, isoRecord} {
		for at := range len(record) {
			readsTheSame(t, d, []byte(record[:at]+record[at+1:]))
			for c := range 256 {
				changed := []byte(record)
				changed[at] = byte(c)
				readsTheSame(t, d, changed)
				readsTheSame(t, d, slices.Insert([]byte(record), at, byte(c)))
			}
		}
	}
}

// TestTextsOfTheColumnsSizeAreReadTheSame: a text that is a character too long is rejected, however it is read.
func TestTextsOfTheColumnsSizeAreReadTheSame(t *testing.T) {
	d := warmed(t)
	for old, most := range map[string]int{`"click"`: 50, `"event_e8o287"`: 100, `"tablet"`: 20, `"Edge"`: 50} {
		for n, want := range map[int]bool{0: true, most: true, most + 1: false, 4 * most: false} {
			raw := []byte(with(old, `"`+strings.Repeat("x", n)+`"`))
			if readsTheSame(t, d, raw) != want {
				t.Errorf("%d characters for %s: ordinary %v", n, old, !want)
			}
		}
	}
}

// FuzzOrdinary: whatever the fast parser accepts, the strict one reads in the same way, alone and in a page.
func FuzzOrdinary(f *testing.F) {
	for _, record := range append(corpus(), goodRecord, isoRecord, goodRecord+"x", `{"a":1}`) {
		f.Add([]byte(record))
	}
	d := warmed(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		readsTheSame(t, d, raw)
		whole := page(other(1), string(raw), isoRecord)
		straight, err := d.straight(whole)
		if err != nil {
			return // it is split anyway
		}
		split, err := New().split(whole)
		if err != nil || !reflect.DeepEqual(straight.Events, split.Events) || !reflect.DeepEqual(straight.Rejects, split.Rejects) {
			t.Errorf("%q is read as %+v, split as %+v, %v", whole, straight, split, err)
		}
	})
}
