package main

import (
	"time"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
)

// shownRounds is how many rounds `sluice status` lists.
const shownRounds = 6

// lagLine draws how far the watermark was behind over the last rounds.
func lagLine(out *terminal.Paper, s *jobStatus, now time.Time) {
	lags := view.Lags(&view.View{At: now, Rounds: s.Rounds})
	if len(s.Rounds) < 2 || len(lags) < 2 {
		return
	}
	first, last := lags[0], lags[len(lags)-1]
	most := 0.0
	for _, l := range lags {
		most = max(most, l.Seconds)
	}
	const cells = 24
	heights := make([]float64, cells)
	each := last.At.Sub(first.At) / cells
	for i := range heights {
		heights[i] = highestLag(lags, first.At.Add(time.Duration(i)*each), first.At.Add(time.Duration(i+1)*each)) / max(most, 1)
	}
	seconds := func(n float64) string { return view.Short(time.Duration(n * float64(time.Second))) }
	out.Fact("behind", "%s %s now, %s at most in the last %s", out.Spark(heights), seconds(last.Seconds), seconds(most), view.Short(last.At.Sub(first.At)))
}

// highestLag is the most that the watermark was behind from one instant to another. Between two points it grows with the clock.
func highestLag(lags []view.Lag, from, to time.Time) (most float64) {
	for i := range lags {
		if l := lags[i]; !l.At.Before(from) && !l.At.After(to) {
			most = max(most, l.Seconds)
		}
		if i > 0 && lags[i-1].At.Before(to) && lags[i].At.After(to) {
			most = max(most, lags[i].Seconds-lags[i].At.Sub(to).Seconds())
		}
	}
	return most
}

func roundTable(s *jobStatus) terminal.Table {
	t := terminal.Table{Heads: []string{">round", "began", ">took", ">new events", ">late", ">requests", "read from", "to", ""}}
	for _, r := range s.Rounds[:min(len(s.Rounds), shownRounds)] {
		took, missing := terminal.Notice("under way"), terminal.Text("")
		if r.Finished != nil {
			took = terminal.Text("%s", view.Short(r.Finished.Sub(r.Began)))
		}
		if r.Missing > 0 {
			missing = terminal.Notice(view.Number(r.Missing) + " missing")
		}
		t.Rows = append(t.Rows, []terminal.Cell{
			terminal.Text("%d", r.Number), terminal.Faint("%s", r.Began.UTC().Format(time.DateTime)), took,
			terminal.Text("%s", view.Number(r.Events)), terminal.Text("%s", view.Number(r.Late)),
			terminal.Text("%s", view.Number(r.Requests)), terminal.Faint("%s", inLayout(r.From, time.DateTime)), terminal.Faint("%s", inLayout(r.To, time.DateTime)), missing,
		})
	}
	return t
}
