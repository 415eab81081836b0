package shard

import (
	"testing"
	"testing/synctest"
)

// A fault far from the top of the data costs a few pages, and not the way there once more.
func TestRunAFaultCostsPagesNotTheWindow(t *testing.T) {
	records := seconds(500)
	for name, c := range map[string]struct {
		fault apiFaults
		at    int // the answer that it meets
		end   Instant
	}{
		"a cursor dies late in the window":    {apiFaults{CursorDies: 1}, 40, Future},
		"the API ignores where it is to read": {apiFaults{Ignore: 1}, 1, records[400].At},
	} {
		t.Run(name, func(t *testing.T) {
			calm, hit := walkedPages(t, records, c.end, 0, c.fault), walkedPages(t, records, c.end, c.at, c.fault)
			if hit <= calm || hit > calm+4 {
				t.Errorf("%d pages with the fault, %d without it", hit, calm)
			}
		})
	}
}

// walkedPages walks a window, with a fault at one answer, and returns how many pages that took.
func walkedPages(t *testing.T, records []record, end Instant, at int, fault apiFaults) (pages int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(records, 10)
		b.From.Window.End = end
		answers := 0
		b.api.Step = func() {
			b.api.Faults = apiFaults{}
			if answers++; answers == at {
				b.api.Faults = fault
			}
		}
		rows := 0
		for _, r := range records {
			if r.At < end {
				rows++
			}
		}
		b.check(t, rows, b.Run(t.Context(), t.Context()), nil)
		pages = b.Asked
	})
	return pages
}

// The API lists the newer record first, and of two in the same instant the one with the greater id.
func TestKeysAreInTheAPIsOrder(t *testing.T) {
	low, high := idOf(1), idOf(2)
	if low.String() > high.String() {
		low, high = high, low
	}
	listed := []Key{{At: 2, ID: low}, {At: 1, ID: high}, {At: 1, ID: low}, {At: 0, ID: high}}
	for i, a := range listed {
		for k, b := range listed {
			if a.Before(b) != (i < k) {
				t.Errorf("%v before %v: %t", a, b, a.Before(b))
			}
		}
	}
}
