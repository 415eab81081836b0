package page

import (
	"bytes"
	"cmp"
	_ "embed" // the pages are files
	"fmt"
	"html/template"
	"time"

	"sluice/cmd/sluice/internal/live"
	"sluice/cmd/sluice/internal/terminal"
)

//go:embed head.html
var headHTML string

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

var page = parse(pageHTML)

// parse makes a page of its text and of what stands above all pages.
func parse(text string) *template.Template {
	return template.Must(template.Must(template.New("page").Parse(headHTML)).Parse(text))
}

func render(v *live.View) ([]byte, error) {
	var out bytes.Buffer
	err := page.Execute(&out, put(v))
	return out.Bytes(), err
}

// words is a view as people read it.
type words struct {
	Job, Source, Version               string
	Style                              template.CSS
	Script                             template.JS
	Title                              string
	Follows                            bool // it shows a run that goes on
	PhaseText, PhaseClass, Verdict     string
	Percent                            string
	Stored, Of, Rate, Mean, Left, Took string
	Limit, LastCommit, Done, Failed    string
	Requests, Refused, Stamp           string
	Line                               []window
	Rows                               []row
	Hidden                             int // windows that are not drawn
	Quotas                             []quota
	Letters                            []letters
	Warnings                           []warning
}

type window struct {
	State, Title      string
	Left, Width, Read string
}

type row struct {
	Number                                        int
	State, Says, Percent, Events, Pages, Rejected string
	Ago, Start, End                               string
	Proof, Attempts, Took, Error                  string // in a report
}

type quota struct{ Endpoint, Allowed, Known, Recent, Used, Waiting, Paused string }

type letters struct{ Count, Reason string }

type warning struct{ At, Level, Text string }

func put(v *live.View) *words {
	w := &words{
		Job: v.Job, Source: v.Source, Version: v.Version, Style: template.CSS(pageCSS), Script: template.JS(pageJS),
		Title: v.Job, Follows: v.Phase != live.Ended, Verdict: v.Verdict, Stored: terminal.Number(v.Stored), Limit: cmp.Or(v.Limit, "nothing"),
		Stamp: "as of " + v.At.UTC().Format("2006-01-02 15:04:05 MST"),
	}
	w.phase(v)
	w.progress(v)
	w.requests(&v.Requests.Requests)
	w.shards(v)
	for i := range v.Quotas {
		w.Quotas = append(w.Quotas, putQuota(&v.Quotas[i], v.At))
	}
	for _, l := range v.Letters {
		w.Letters = append(w.Letters, letters{terminal.Number(l.Count), l.Reason})
	}
	for i := len(v.Warnings) - 1; i >= 0; i-- { // the newest first
		one := v.Warnings[i]
		w.Warnings = append(w.Warnings, warning{one.At.UTC().Format("15:04:05"), one.Level, one.Text})
	}
	return w
}

func (w *words) phase(v *live.View) {
	w.PhaseText, w.PhaseClass = string(v.Phase), "now"
	if v.Phase == live.Checking {
		w.PhaseText = "checking the result"
	}
	if v.Phase != live.Ended {
		return
	}
	w.Limit = "nothing, it has ended"
	w.PhaseText, w.PhaseClass = "complete", "good"
	if v.ExitCode != 0 {
		w.PhaseText, w.PhaseClass = fmt.Sprintf("ended with exit code %d", v.ExitCode), "bad"
	}
}

func (w *words) progress(v *live.View) {
	recent, mean := v.Rate()
	took := v.At.Sub(v.Started)
	w.Took = "for " + terminal.Short(took)
	w.Rate, w.Mean = terminal.Number(int64(recent)), "mean "+terminal.Number(int64(mean))
	if v.Phase == live.Ended {
		w.Rate, w.Mean = terminal.Number(int64(mean)), "mean"
	}
	w.Of, w.Left, w.Percent = "of an unknown number", "not known yet", "0"
	if v.Total > 0 {
		w.Of, w.Percent = "of "+terminal.Number(v.Total), percent(float64(v.Stored)/float64(v.Total))
	}
	if v.Before > 0 {
		w.Of += ", " + terminal.Number(v.Before) + " by earlier runs"
	}
	left, known := terminal.Left(v.Total, v.Stored, v.Stored-v.Before, took, mean)
	switch {
	case v.Phase == live.Ended || v.Phase == live.Checking:
		w.Left, w.Took = "–", "took "+terminal.Short(took)
	case known:
		w.Left = terminal.Short(left)
	}
	if v.LastCommit != nil {
		w.LastCommit = "last commit " + ago(*v.LastCommit, v.At)
	}
}

func (w *words) requests(r *live.Requests) {
	w.Requests = terminal.Number(r.List + r.Stream)
	w.Refused = fmt.Sprintf("%s refused, %s repeated", terminal.Number(r.ListRefused+r.StreamRefused), terminal.Number(r.Retries))
}

// mostRows is how many windows are drawn: of more, only those that are at work or in trouble.
const mostRows = 256

func (w *words) shards(v *live.View) {
	done, failed := 0, 0
	few := len(v.Shards) <= mostRows
	for i := range v.Shards {
		s := &v.Shards[i]
		switch s.State {
		case "done":
			done++
		case "failed":
			failed++
		}
		if !few && (len(w.Rows) >= mostRows || s.State == "done" || s.State == "pending") {
			w.Hidden++
			continue
		}
		w.Line = append(w.Line, window{
			State: s.State, Title: fmt.Sprintf("window %d: %s, %s %% read", s.Number, s.State, percent(s.Read)),
			Left: percent(s.From), Width: percent(s.To - s.From), Read: percent(s.Read),
		})
		w.Rows = append(w.Rows, putRow(s, v.At))
	}
	w.Done = fmt.Sprintf("%d of %d", done, len(v.Shards))
	if failed > 0 {
		w.Failed = fmt.Sprintf("%d failed", failed)
	}
}

func putRow(s *live.Shard, now time.Time) row {
	r := row{
		Number: s.Number, State: s.State, Says: s.State, Percent: percent(s.Read), Events: terminal.Number(s.Events),
		Pages: terminal.Number(s.Pages), Rejected: terminal.Number(s.Rejected), Start: s.Start, End: s.End, Ago: "–",
	}
	if s.State == "running" && s.Doing != "" {
		r.Says = s.Doing
	}
	r.Proof, r.Attempts, r.Error, r.Took = cmp.Or(s.Proof, "–"), fmt.Sprint(s.Attempts), s.Error, "–"
	if s.Took > 0 {
		r.Took = terminal.Short(time.Duration(s.Took * 1e9))
	}
	if !s.Commit.IsZero() {
		r.Ago = ago(s.Commit, now)
	}
	return r
}

func putQuota(q *live.Quota, now time.Time) quota {
	shown := quota{
		Endpoint: q.Endpoint, Known: q.Known, Recent: terminal.Number(int64(q.Recent)), Waiting: terminal.Number(int64(q.Waiting)),
		Allowed: fmt.Sprintf("%d in %s", q.Limit, terminal.Short(time.Duration(q.Window*1e9))), Used: "–", Paused: "no",
	}
	switch {
	case q.Limit < 0:
		shown.Allowed = "no limit"
	case q.Limit == 0:
		shown.Allowed = "not known yet"
	}
	if q.Used > 0 {
		shown.Used = fmt.Sprintf("%.1f %%", 100*q.Used)
	}
	if q.PausedUntil != nil && q.PausedUntil.After(now) {
		shown.Paused = "for " + terminal.Short(q.PausedUntil.Sub(now))
	}
	return shown
}

// percent returns a share as a number of CSS and of people, and 100 only when it is whole.
func percent(share float64) string {
	p := min(max(100*share, 0), 100)
	if p < 100 {
		p = min(p, 99.9)
	}
	if p == float64(int(p)) {
		return fmt.Sprint(int(p))
	}
	return fmt.Sprintf("%.1f", p)
}

func ago(t, now time.Time) string {
	d := now.Sub(t)
	if d < time.Second {
		return "just now"
	}
	return terminal.Short(d.Round(time.Second)) + " ago"
}
