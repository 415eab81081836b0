package coordinator

import "sluice/shard"

// Plan cuts a span into n windows, oldest first: of equal length, or, where there are samples of the density, nearer to an equal
// number of events. They tile it: the first starts where the span starts, each next one where the last ended, and the last
// ends where the span ends. Open ends of the span stay open; the cuts are then placed between the oldest and the newest event
// known.
//
// Edges lie on whole milliseconds, the API's resolution, so that a window can be asked for exactly. A span too short for n
// windows yields fewer.
func Plan(span shard.Window, oldest, newest shard.Instant, n int, samples ...shard.Sample) []shard.Window {
	from, to := span.Start, span.End
	if !from.Finite() {
		from = oldest
	}
	if !to.Finite() {
		to = newest
	}
	expected := densityOf(from, to, samples)
	var windows []shard.Window
	start := span.Start
	for i := 1; i < n; i++ {
		edge := cut(from, to, i, n)
		if expected != nil {
			edge = expected.quantile(float64(i) / float64(n))
		}
		if edge <= start || edge <= from || edge >= span.End {
			continue
		}
		windows = append(windows, shard.Window{Start: start, End: edge})
		start = edge
	}
	return append(windows, shard.Window{Start: start, End: span.End})
}

// cut returns the i-th of n cuts between from and to, on a whole millisecond. It divides before it multiplies, because the
// product overflows for spans of centuries.
func cut(from, to shard.Instant, i, n int) shard.Instant {
	if to <= from {
		return from
	}
	ms, parts := int64(to-from)/1000, int64(n)
	offset := ms/parts*int64(i) + ms%parts*int64(i)/parts
	return shard.Instant((from.CeilMilli() + offset) * 1000)
}
