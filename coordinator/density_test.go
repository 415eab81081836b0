package coordinator

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"sluice/shard"
)

// Whatever the samples: the windows tile the span, none is much longer than equal time would make it, and the order in which
// the samples came does not matter.
func TestPlanWithSamples(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		length := shard.Instant(rapid.Int64Range(1, int64(4000*day)).Draw(rt, "length"))
		from := shard.Instant(rapid.Int64Range(0, int64(20_000*day)).Draw(rt, "from"))
		n := rapid.IntRange(1, 100).Draw(rt, "n")
		instant := rapid.Int64Range(int64(from-day), int64(from+length+day))
		samples := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) shard.Sample {
			a := shard.Instant(instant.Draw(rt, "at"))
			return shard.Sample{From: a, To: a + shard.Instant(rapid.Int64Range(-10, int64(day)).Draw(rt, "width")), Events: rapid.IntRange(0, 5000).Draw(rt, "events")}
		}), 0, 14).Draw(rt, "samples")
		span := shard.Window{Start: from, End: from + length}
		windows := Plan(span, 0, 0, n, samples...)
		tiles(t, span, windows, n)
		most := 2*length/shard.Instant(n) + 3000
		for _, w := range windows {
			if w.End-w.Start > most {
				rt.Fatalf("%s is longer than twice an even window, %d µs", w, most)
			}
		}
		slices.Reverse(samples)
		if again := Plan(span, 0, 0, n, samples...); !slices.Equal(again, windows) {
			rt.Fatalf("%v, and from the same samples in another order %v", windows, again)
		}
	})
}

// Where the samples tell the truth, the fullest window holds less than with equal time.
func TestPlanCutsDenseTimeFiner(t *testing.T) {
	const dense, sparse = 9, 1 // events a second: the newest of eight days holds 9 of 16 parts
	at := func(i, rate shard.Instant) shard.Sample {
		return shard.Sample{From: i, To: i + 1000*1e6, Events: int(1000 * rate)}
	}
	samples := []shard.Sample{at(7*day+day/2, dense), at(6*day+day/2, sparse), at(day, sparse)}
	held := func(w shard.Window) float64 {
		newer := max(0, w.End-max(w.Start, 7*day))
		return float64(newer)*dense + float64(w.End-w.Start-newer)*sparse
	}
	fullest := func(windows []shard.Window) (most float64) {
		for _, w := range windows {
			most = max(most, held(w))
		}
		return most
	}
	span := shard.Window{Start: 0, End: 8 * day}
	even, placed := fullest(Plan(span, 0, 0, 8)), fullest(Plan(span, 0, 0, 8, samples...))
	if placed > 0.5*even {
		t.Errorf("the fullest window holds %.2f of what it holds with equal time", placed/even)
	}
}

// An oldest page of a few records, all in one instant, is no density.
func TestPlanIgnoresSamplesOfAFewEvents(t *testing.T) {
	span := shard.Window{Start: 0, End: 8 * day}
	if windows := Plan(span, 0, 0, 8, shard.Sample{From: day, To: day, Events: fewest - 1}); !slices.Equal(windows, Plan(span, 0, 0, 8)) {
		t.Error(windows)
	}
}
