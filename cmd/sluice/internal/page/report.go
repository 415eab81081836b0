package page

import (
	_ "embed" // the report is a template
	"io"

	"sluice/cmd/sluice/internal/view"
)

//go:embed report.html
var reportHTML string

var report = parse(reportHTML)

// Fact is a line of a report.
type Fact struct{ Name, Value string }

// Facts are lines that belong together.
type Facts struct {
	Name  string
	Facts []Fact
}

// Report writes one self-contained page about a job, as its tables tell it.
func Report(w io.Writer, v *view.View, groups []Facts) error {
	shown := struct {
		*words
		Groups []Facts
	}{put(v), groups}
	shown.Title, shown.Follows = "report on "+v.Job, false
	shown.Charts = []chart{storedOf(v.History), ratesOf(v.History, true)}
	shown.Phase = phase{"unfinished", "lost", "◐"}
	if v.Phase == view.Ended {
		shown.Phase = phase{"complete and verified", "good", "✓"}
	}
	return report.Execute(w, shown)
}
