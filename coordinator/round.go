package coordinator

import (
	"math"
	"time"

	"sluice/shard"
)

// pagesEach is how many pages a window of a round should have at least: with fewer, the page over its edge and the wait for a
// fetcher cost more than they bring.
const pagesEach = 3

// Gap is what a round has to read, as far as the newest page shows it.
type Gap struct {
	Span     shard.Window  // from the watermark, less the lookback, on
	Lookback time.Duration // of it, which an earlier round has read
	Page     shard.Sample  // the newest page
	New      int64         // events that the source counted since the last round began; -1: it tells no number
}

// PlanRound cuts a round into as many windows as its events deserve, at most so many: one where the newest page reaches back
// over its start, so that nothing new costs one request; more where a gap has to be caught up, for all fetchers at once.
func PlanRound(g Gap, most int) []shard.Window {
	n := 1
	if g.Page.Events > 0 && g.Span.Start.Finite() && g.Page.From >= g.Span.Start {
		n = int(min(float64(most), math.Ceil(g.events()/float64(pagesEach*g.Page.Events))))
	}
	return Plan(g.Span, g.Page.From, g.Page.To, max(1, n))
}

// events is how many are expected: where the source tells no number, as many as lie there at the density of the newest page.
func (g *Gap) events() float64 {
	rate := g.Page.Rate()
	if g.New < 0 {
		return rate * float64(g.Page.To-g.Span.Start)
	}
	return float64(g.New) + rate*float64(g.Lookback.Microseconds())
}
