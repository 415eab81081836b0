package coordinator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/shard"
)

const day = shard.Instant(24 * 3600 * 1e6)

func TestPlanCutsTheSpanEqually(t *testing.T) {
	windows := Plan(shard.Window{Start: 0, End: 8 * day}, 0, 0, 8)
	if len(windows) != 8 {
		t.Fatalf("%d windows", len(windows))
	}
	for i, w := range windows {
		if w.Start != shard.Instant(i)*day || w.End != shard.Instant(i+1)*day {
			t.Errorf("window %d is %s", i+1, w)
		}
	}
}

func TestPlanKeepsOpenEndsOpen(t *testing.T) {
	windows := Plan(shard.Window{Start: shard.Past, End: shard.Future}, 10*day, 14*day, 4)
	if windows[0].Start != shard.Past || windows[0].End != 11*day || windows[3].Start != 13*day || windows[3].End != shard.Future {
		t.Error(windows)
	}
}

// tiles checks that windows are contiguous and disjoint, and that their union is the span.
func tiles(t *testing.T, span shard.Window, windows []shard.Window, n int) {
	t.Helper()
	if len(windows) == 0 || len(windows) > max(n, 1) {
		t.Fatalf("%d windows of %d", len(windows), n)
	}
	at := span.Start
	for i, w := range windows {
		if w.Start != at || w.End <= w.Start && span.End > span.Start {
			t.Fatalf("window %d of %d is %s, it must start at %s and not be empty", i+1, len(windows), w, at)
		}
		at = w.End
	}
	if at != span.End {
		t.Fatalf("the last window ends at %s, the span at %s", at, span.End)
	}
}

func FuzzPlan(f *testing.F) {
	f.Add(int64(0), int64(8*day), int64(0), int64(0), 8, uint8(0))
	f.Add(int64(1), int64(3), int64(1), int64(2), 64, uint8(3))
	f.Add(int64(0), int64(0), int64(7_270_000_000_000_000), int64(7_270_000_000_000_000), 3, uint8(3))
	f.Fuzz(func(t *testing.T, start, end, oldest, newest int64, n int, open uint8) {
		const latest = int64(7_300_000_000_000_000) // the year 2200
		for _, v := range []*int64{&start, &end, &oldest, &newest} {
			*v = ((*v % latest) + latest) % latest
		}
		span := shard.Window{Start: shard.Instant(min(start, end)), End: shard.Instant(max(start, end) + 1)}
		if open&1 != 0 {
			span.Start = shard.Past
		}
		if open&2 != 0 {
			span.End = shard.Future
		}
		n = n%200 + 1
		if n < 1 {
			n = 1
		}
		tiles(t, span, Plan(span, shard.Instant(oldest), shard.Instant(newest), n), n)
	})
}

// Whatever the samples: the windows tile the span, none is much longer than an equal part, and the order of the samples does not
// matter.
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
		longest := 2*length/shard.Instant(n) + 3000
		for _, w := range windows {
			if w.End-w.Start > longest {
				rt.Fatalf("%s is longer than twice an even window, %d µs", w, longest)
			}
		}
		slices.Reverse(samples)
		if again := Plan(span, 0, 0, n, samples...); !slices.Equal(again, windows) {
			rt.Fatalf("%v, and from the same samples in another order %v", windows, again)
		}
	})
}

// If the samples are right, the fullest window holds less than with windows of equal length.
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
	fullest := func(windows []shard.Window) (largest float64) {
		for _, w := range windows {
			largest = max(largest, held(w))
		}
		return largest
	}
	span := shard.Window{Start: 0, End: 8 * day}
	even, placed := fullest(Plan(span, 0, 0, 8)), fullest(Plan(span, 0, 0, 8, samples...))
	if placed > 0.5*even {
		t.Errorf("the fullest window holds %.2f of what it holds with equal time", placed/even)
	}
}

// A page of a few records, all at one instant, says nothing about the density.
func TestPlanIgnoresSamplesOfAFewEvents(t *testing.T) {
	span := shard.Window{Start: 0, End: 8 * day}
	if windows := Plan(span, 0, 0, 8, shard.Sample{From: day, To: day, Events: minEvents - 1}); !slices.Equal(windows, Plan(span, 0, 0, 8)) {
		t.Error(windows)
	}
}

func TestPlanRound(t *testing.T) {
	const now shard.Instant = 1_769_541_612_369_000
	page := shard.Sample{From: now.Add(-time.Minute), To: now, Events: 5000} // 5,000 a minute
	from := func(d time.Duration) shard.Window { return shard.Window{Start: now.Add(-d), End: shard.Future} }
	for name, test := range map[string]struct {
		gap  Gap
		want int
	}{
		"the page reaches over the start":      {Gap{Span: from(30 * time.Second), Page: page, New: 2500}, 1},
		"a little more than a page":            {Gap{Span: from(2 * time.Minute), Page: page, New: 5000}, 1},
		"a gap":                                {Gap{Span: from(time.Hour), Page: page, New: 60_000}, 4},
		"a gap and the lookback":               {Gap{Span: from(time.Hour), Page: page, New: 60_000, Lookback: 6 * time.Minute}, 6},
		"a long gap with little in it":         {Gap{Span: from(time.Hour), Page: page, New: 6000}, 1},
		"a large gap":                          {Gap{Span: from(time.Hour), Page: page, New: 1_000_000}, 8},
		"no total, by density":                 {Gap{Span: from(time.Hour), Page: page, New: -1}, 8},
		"no total, a short gap":                {Gap{Span: from(5 * time.Minute), Page: page, New: -1}, 2},
		"nothing that can be read":             {Gap{Span: from(time.Hour), New: 1_000_000}, 1},
		"nothing known of where it must begin": {Gap{Span: shard.Window{Start: shard.Past, End: shard.Future}, Page: page, New: -1}, 1},
		"a span that has ended":                {Gap{Span: shard.Window{Start: now.Add(-2 * time.Hour), End: now.Add(-time.Hour)}, Page: page, New: 9}, 1},
	} {
		windows := PlanRound(test.gap, 8)
		if len(windows) != test.want {
			t.Errorf("%s: %d windows, want %d", name, len(windows), test.want)
		}
		if first, last := windows[0].Start, windows[len(windows)-1].End; first != test.gap.Span.Start || last != test.gap.Span.End {
			t.Errorf("%s: from %s to %s", name, first, last)
		}
	}
}

// BenchmarkPlan cuts a month into windows.
func BenchmarkPlan(b *testing.B) {
	span := shard.Window{Start: shard.Past, End: shard.Future}
	for _, shards := range []int{8, 64, 10_000} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if windows := Plan(span, 0, 30*day, shards); len(windows) != shards {
					b.Fatalf("%d windows", len(windows))
				}
			}
		})
	}
}
