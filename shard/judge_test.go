package shard

import (
	"testing"

	"pgregory.net/rapid"
)

// leading counts the longest run at the front that is newer than the position and in order; trailing is its mirror image.
func TestTrim(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events := drawEvents(rt, "events", 20)
		pos := Position{End: Instant(rapid.Int64Range(0, 30).Draw(rt, "end"))}
		if rapid.Bool().Draw(rt, "resume") {
			pos.Resume = Key{At: Instant(rapid.Int64Range(0, 30).Draw(rt, "at")), ID: idOf(1)}
		}
		before := func(i Instant) bool {
			return i >= pos.End || !pos.Resume.IsZero() && i > pos.Resume.At
		}
		drop, outside := leading(events, pos)
		checkRun(rt, "leading run", events[:drop], events[drop:min(drop+1, len(events))], before)
		for _, e := range events[:drop] {
			if e.At >= pos.End {
				outside--
			}
		}
		if outside != 0 {
			rt.Fatalf("the count of records newer than the window is off by %d", outside)
		}
	})
}

func TestOlderSuffix(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events := drawEvents(rt, "events", 20)
		start := Instant(rapid.Int64Range(0, 30).Draw(rt, "start"))
		n := len(events) - trailing(events, start)
		older := func(i Instant) bool { return i < start }
		for _, e := range events[n:] {
			if !older(e.At) {
				rt.Fatalf("%d is not older than %d", e.At, start)
			}
		}
		if !inOrder(keysOf(events[n:])) {
			rt.Fatalf("the suffix %v is not in order", keysOf(events[n:]))
		}
		if n > 0 && older(events[n-1].At) && inOrder(keysOf(events[n-1:])) {
			rt.Fatalf("the suffix could be longer: %v", keysOf(events[n-1:]))
		}
	})
}

// checkRun checks that all events of a run fit, that it is in order, and that it could not include the event after it.
func checkRun(rt *rapid.T, name string, run, after []Event, fits func(Instant) bool) {
	for _, e := range run {
		if !fits(e.At) {
			rt.Fatalf("%d does not belong to the %s", e.At, name)
		}
	}
	if !inOrder(keysOf(run)) {
		rt.Fatalf("the %s %v is not in order", name, keysOf(run))
	}
	if len(after) > 0 && fits(after[0].At) && inOrder(keysOf(append(run[:len(run):len(run)], after...))) {
		rt.Fatalf("the %s could be longer by %v", name, after[0].Key())
	}
}

func TestMostlyAfter(t *testing.T) {
	for name, c := range map[string]struct {
		seconds []int
		want    bool
	}{
		"all newer":                       {[]int{9, 8, 7}, true},
		"one of them newer":               {[]int{9, -1, -2}, false},
		"half of them newer":              {[]int{9, -1}, false},
		"a single one may be wrong":       {[]int{9}, false},
		"none":                            {nil, false},
		"most newer, the last one is not": {[]int{9, 8, -1}, true},
	} {
		if got := mostlyAfter(at(c.seconds...), epoch); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
