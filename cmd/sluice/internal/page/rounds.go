package page

import (
	"cmp"
	"fmt"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// roundRow is a round as people read it.
type roundRow struct {
	Number                                      int
	Began, Took, From, To                       string
	Events, Late, Requests, Missing, Lag, Class string
}

// mostRoundRows is how many rounds have a row: the last ones.
const mostRoundRows = 12

func (w *words) rounds(v *view.View) {
	if len(v.Rounds) < 2 {
		return
	}
	w.Lag = []chart{lagOf(v)}
	for _, r := range v.Rounds[:min(len(v.Rounds), mostRoundRows)] {
		w.Rounds = append(w.Rounds, putRound(&r))
	}
}

func putRound(r *view.Round) roundRow {
	shown := roundRow{
		Number: r.Number, Began: r.Began.UTC().Format(time.DateTime), Took: "under way", From: edge(r.From), To: cmp.Or(edge(r.To), "–"),
		Events: view.Number(r.Events), Late: view.Number(r.Late), Requests: view.Number(r.Requests),
		Missing: view.Number(r.Missing), Lag: "–",
	}
	if r.Finished != nil {
		shown.Took = short(r.Finished.Sub(r.Began))
		if r.Watermark != nil {
			shown.Lag = short(max(0, r.Finished.Sub(*r.Watermark)))
		}
	}
	if r.Missing > 0 {
		shown.Class = "late"
	}
	return shown
}

// lagOf draws how far the watermark was behind the clock: it grows with the time, and falls at the end of a round.
func lagOf(v *view.View) chart {
	c := chart{Name: "How far the table is behind", Note: "no round has ended yet"}
	dots := v.Lags()
	if len(dots) < 2 {
		return c
	}
	most := 0.0
	for _, d := range dots {
		most = max(most, d.Seconds)
	}
	unit, seconds := unitOf(most)
	drawn := make([]dot, len(dots))
	for i, d := range dots {
		drawn[i] = dot{d.At, d.Seconds / seconds}
	}
	b := box{first: drawn[0].at, last: drawn[len(drawn)-1].at, top: c.scale(most/seconds, unit)}
	c.Lines, c.Area = []line{{Class: "one", Path: b.path(drawn)}}, b.area(drawn)
	c.over(b)
	c.Note = fmt.Sprintf("%s now, %s at most", inWords(dots[len(dots)-1].Seconds), inWords(most))
	c.Says = "The watermark's lag over " + short(b.last.Sub(b.first)) + ": " + c.Note
	return c
}

// unitOf returns the unit in which a lag of so many seconds is best read, and how many seconds it has.
func unitOf(most float64) (name string, seconds float64) {
	switch {
	case most <= 180:
		return " s", 1
	case most <= 3*3600:
		return " min", 60
	case most <= 72*3600:
		return " h", 3600
	}
	return " d", 24 * 3600
}

func inWords(seconds float64) string { return short(time.Duration(seconds * float64(time.Second))) }
