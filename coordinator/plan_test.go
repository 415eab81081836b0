package coordinator

import (
	"testing"

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
		const most = int64(7_300_000_000_000_000) // the year 2200
		for _, v := range []*int64{&start, &end, &oldest, &newest} {
			*v = ((*v % most) + most) % most
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
