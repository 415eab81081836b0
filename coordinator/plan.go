package coordinator

import (
	"cmp"
	"math"
	"slices"
	"time"

	"sluice/shard"
)

const (
	// minEvents is how many events a sample must have to say something about the density.
	minEvents = 16
	// evenShare of the weight is spread evenly over time whatever the samples say. A few pages say little about what lies
	// between them, and so no window becomes longer than 1/evenShare of the length that equal windows would have.
	evenShare = 0.5
	// pagesEach is how many pages a window of a round should have at least: with fewer, the page that is read across its edge
	// and the wait for a fetcher cost more than the window saves.
	pagesEach = 3
)

// Plan divides a span into at most n windows, oldest first: of equal length or, if there are samples of the density, closer to
// an equal number of events. The first window starts where the span starts, each next one where the last ended, and the last
// ends where the span ends. Open ends of the span stay open; the cuts lie between the oldest and the newest event known.
//
// Edges lie on whole milliseconds, the API's resolution, so that a window can be requested exactly. A span too short for n
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

// cut returns the i-th of n equal cuts between from and to, on a whole millisecond. It divides before it multiplies, because
// the product overflows for spans of centuries.
func cut(from, to shard.Instant, i, n int) shard.Instant {
	if to <= from {
		return from
	}
	ms, parts := int64(to-from)/1000, int64(n)
	offset := ms/parts*int64(i) + ms%parts*int64(i)/parts
	return shard.Instant((from.CeilMilli() + offset) * 1000)
}

// density is the share of the events expected in each of several consecutive stretches of time.
type density []stretch

type stretch struct {
	start  shard.Instant
	length float64 // in microseconds
	weight float64 // share of all events; the weights sum up to 1
}

// densityOf takes the density at an instant from the sample nearest in time. It returns nil if there is none between from and to.
func densityOf(from, to shard.Instant, samples []shard.Sample) density {
	middle := func(s shard.Sample) shard.Instant { return s.From + (s.To-s.From)/2 }
	samples = slices.DeleteFunc(slices.Clone(samples), func(s shard.Sample) bool {
		return s.Events < minEvents || s.To < s.From || middle(s) < from || middle(s) > to
	})
	if len(samples) == 0 || to <= from {
		return nil
	}
	slices.SortFunc(samples, func(a, b shard.Sample) int {
		return cmp.Or(cmp.Compare(middle(a), middle(b)), cmp.Compare(a.Rate(), b.Rate()))
	})
	var d density
	sum, start := 0.0, from
	for i, s := range samples {
		end := to
		if i+1 < len(samples) {
			end = middle(s) + (middle(samples[i+1])-middle(s))/2
		}
		length := float64(end - start)
		d = append(d, stretch{start, length, length * s.Rate()})
		sum, start = sum+length*s.Rate(), end
	}
	for i := range d {
		d[i].weight = evenShare*d[i].length/float64(to-from) + (1-evenShare)*d[i].weight/sum
	}
	return d
}

// quantile returns the instant before which that share of the events is expected, on a whole millisecond.
func (d density) quantile(share float64) shard.Instant {
	onMilli := func(i shard.Instant) shard.Instant { return shard.Instant(i.CeilMilli() * 1000) }
	for _, s := range d {
		if share < s.weight {
			return onMilli(s.start + shard.Instant(s.length*share/s.weight))
		}
		share -= s.weight
	}
	last := d[len(d)-1]
	return onMilli(last.start + shard.Instant(last.length))
}

// Gap is what a round has to read, as far as the newest page shows it.
type Gap struct {
	Span     shard.Window  // starts at the watermark, less the lookback
	Lookback time.Duration // the part of it that an earlier round has read
	Page     shard.Sample  // the newest page
	New      int64         // events that the source counted since the last round began; -1 if it reports no total
}

// PlanRound divides a round into as many windows as its events deserve, up to limit: one if the newest page reaches back
// across its start, so that a round without news costs one request; more if a gap has to be caught up by several fetchers.
func PlanRound(g Gap, limit int) []shard.Window {
	n := 1
	if g.Page.Events > 0 && g.Span.Start.Finite() && g.Page.From >= g.Span.Start {
		rate := g.Page.Rate()
		events := float64(g.New) + rate*float64(g.Lookback.Microseconds())
		if g.New < 0 {
			events = rate * float64(g.Page.To-g.Span.Start)
		}
		n = int(min(float64(limit), math.Ceil(events/float64(pagesEach*g.Page.Events))))
	}
	return Plan(g.Span, g.Page.From, g.Page.To, max(1, n))
}
