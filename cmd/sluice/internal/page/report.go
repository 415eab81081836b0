package page

import (
	_ "embed" // the report is a template
	"fmt"
	"io"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/live"
	"sluice/cmd/sluice/internal/terminal"
)

//go:embed report.html
var reportHTML string

var report = parse(reportHTML)

// Fact is a line of a report.
type Fact struct{ Name, Value string }

// Report writes one self-contained page about a job, as its tables tell it.
func Report(w io.Writer, v *live.View, facts []Fact) error {
	shown := struct {
		*words
		Facts      []Fact
		Path, Axis string
	}{put(v), facts, chart(v.History), axis(v.History)}
	shown.Title, shown.Follows = "report on "+v.Job, false
	shown.PhaseText, shown.PhaseClass = "unfinished", "lost"
	if v.Phase == live.Ended {
		shown.PhaseText, shown.PhaseClass = "complete and verified", "good"
	}
	return report.Execute(w, shown)
}

// chart returns the way of the stored rows over time in a box of 600 by 160.
func chart(past []live.Point) string {
	if len(past) < 2 {
		return ""
	}
	first, last := past[0], past[len(past)-1]
	span, top := last.At.Sub(first.At).Seconds(), float64(last.Stored)
	var d strings.Builder
	for i, p := range past {
		x, y := 600*p.At.Sub(first.At).Seconds()/max(span, 0.001), 155-148*float64(p.Stored)/max(top, 1)
		fmt.Fprintf(&d, "%c%.1f,%.1f", "ML"[min(i, 1)], x, y)
	}
	return d.String()
}

func axis(past []live.Point) string {
	if len(past) < 2 {
		return ""
	}
	first, last := past[0].At, past[len(past)-1].At
	return fmt.Sprintf("%s to %s (%s); the top is %s events", first.UTC().Format(time.DateTime), last.UTC().Format(time.DateTime),
		terminal.Short(last.Sub(first)), terminal.Number(past[len(past)-1].Stored))
}
