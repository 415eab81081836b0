package coordinator

import (
	"testing"
	"time"

	"sluice/shard"
)

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
