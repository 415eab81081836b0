package page

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// words is a view as people read it.
type words struct {
	Job, Source, Version, Run, Title string
	Follows                          bool // it shows a run that goes on
	Phase                            phase
	Verdict                          string
	Percent, Stored, Of, Left, Took  string
	Rate, Mean, Limit, LastCommit    string
	Done, Troubled, Requests         string
	Refused, Rejected, RejectedNote  string
	Watermark, Behind                string // where the source is followed
	Stamp                            string
	Ages                             []string // of the time line, from its oldest end
	Line                             []window
	Rows                             []row
	Hidden                           int // windows that have no row
	Charts                           []chart
	Lag                              []chart // of a job that has rounds
	Rounds                           []roundRow
	Quotas                           []quota
	Letters                          []letters
	Warnings                         []warning
}

// phase is a state in words, in a colour and with a sign, for those who do not see the colour.
type phase struct{ Text, Class, Sign string }

type quota struct{ Endpoint, Allowed, Known, Recent, Share, Used, Waiting, Paused string }

type letters struct{ Count, Reason, Share string }

type warning struct{ At, Level, Text string }

func put(v *view.View) *words {
	w := &words{
		Job: v.Job, Source: v.Source, Version: v.Version, Run: runOf(v), Follows: v.Phase != view.Ended, Verdict: v.Verdict,
		Stored: view.Number(v.Stored), Limit: cmp.Or(v.Limit, "nothing"), Phase: phaseOf(v),
		Stamp: "as of " + v.At.UTC().Format("2006-01-02 15:04:05 MST"), Charts: charts(v),
	}
	w.progress(v)
	w.requests(&v.Requests.Requests)
	w.watermark(v)
	w.shards(v)
	w.rounds(v)
	for i := range v.Quotas {
		w.Quotas = append(w.Quotas, putQuota(&v.Quotas[i], v.At))
	}
	w.letters(v)
	for i := len(v.Warnings) - 1; i >= 0; i-- { // the newest first
		one := v.Warnings[i]
		w.Warnings = append(w.Warnings, warning{one.At.UTC().Format("15:04:05"), one.Level, one.Text})
	}
	return w
}

// runOf tells one run from the next at the same address.
func runOf(v *view.View) string { return fmt.Sprintf("%x", v.Started.UnixNano()) }

func phaseOf(v *view.View) phase {
	switch {
	case v.Paused != nil && v.Phase != view.Ended:
		return phase{"paused by you", "lost", "‖"}
	case v.Phase == view.Checking:
		return phase{"checking the result", "now", "◐"}
	case v.Phase != view.Ended:
		return phase{string(v.Phase), "now", "●"}
	case v.ExitCode != 0:
		return phase{fmt.Sprintf("ended with exit code %d", v.ExitCode), "bad", "✕"}
	}
	return phase{"complete", "good", "✓"}
}

func (w *words) progress(v *view.View) {
	took := v.At.Sub(v.Started)
	w.Took = "for " + short(took)
	w.Rate, w.Mean = view.Number(int64(v.Rate)), "mean "+view.Number(int64(v.Mean))
	w.Of, w.Left, w.Percent = "of an unknown number", "not known yet", "0"
	if v.Total > 0 {
		w.Of, w.Percent = "of "+view.Number(v.Total), percent(float64(v.Stored)/float64(v.Total))
	}
	if v.Before > 0 {
		w.Of += ", " + view.Number(v.Before) + " of them by earlier runs"
	}
	w.Title = w.Percent + " % · " + v.Job
	if v.Left != nil {
		w.Left = short(*v.Left)
	}
	if v.Paused != nil && v.Phase != view.Ended {
		w.pause(v)
	}
	if v.LastCommit != nil {
		w.LastCommit = "last commit " + ago(*v.LastCommit, v.At)
	}
	if v.Phase == view.Waiting && v.Paused == nil {
		w.Left = "none"
	}
	if v.Phase == view.Ended || v.Phase == view.Checking {
		w.Left, w.Took = "none", "took "+short(took)
	}
	if v.Phase == view.Ended {
		w.Rate, w.Mean, w.LastCommit = view.Number(int64(v.Mean)), "mean of the run", ""
		w.Limit, w.Title = "nothing, it has ended", w.Phase.Text+" · "+v.Job
	}
	if v.Phase == view.Ended && v.ExitCode == 0 {
		w.Percent = "100" // dead letters are counted by the API, and are no rows
	}
}

// pause says what stands still, and how to go on.
func (w *words) pause(v *view.View) {
	w.Left, w.Took = "paused", "for "+short(v.At.Sub(*v.Paused).Truncate(time.Second))
	w.Title = "paused · " + v.Job
	w.Verdict = "Paused by you at " + v.Paused.UTC().Format("15:04:05 MST") + ": nothing new is asked for, what was under way is committed. " +
		v.GoOn + " goes on, SIGTERM ends the run."
}

func (w *words) requests(r *view.Requests) {
	w.Requests = view.Number(r.List + r.Stream)
	w.Refused = fmt.Sprintf("%s refused, %s repeated", view.Number(r.ListRefused+r.StreamRefused), view.Number(r.Retries))
}

// watermark says up to when everything is stored, where the source is followed.
func (w *words) watermark(v *view.View) {
	if v.Watermark == nil {
		return
	}
	w.Watermark = v.Watermark.UTC().Format("2006-01-02 15:04:05")
	w.Behind = short(max(0, v.At.Sub(*v.Watermark))) + " behind"
	if v.Round > 0 {
		w.Behind += fmt.Sprintf(", round %d", v.Round)
	}
}

func (w *words) letters(v *view.View) {
	var sum, most int64
	for _, l := range v.Letters {
		sum, most = sum+l.Count, max(most, l.Count)
	}
	for _, l := range v.Letters {
		w.Letters = append(w.Letters, letters{view.Number(l.Count), l.Reason, percent(float64(l.Count) / float64(most))})
	}
	if v.Phase != view.Ended { // the letters are counted now and then, the windows always
		sum = max(sum, rejected(v.Shards))
	}
	w.Rejected, w.RejectedNote = view.Number(sum), "all records were readable"
	if sum > 0 {
		w.RejectedNote = fmt.Sprintf("%.2g %% of all records", 100*float64(sum)/float64(max(v.Stored+sum, 1)))
	}
}

func rejected(shards []view.Shard) (sum int64) {
	for i := range shards {
		sum += shards[i].Rejected
	}
	return sum
}

func putQuota(q *view.Quota, now time.Time) quota {
	shown := quota{
		Endpoint: q.Endpoint, Known: q.Known, Recent: view.Number(int64(q.Recent)), Waiting: view.Number(int64(q.Waiting)),
		Allowed: fmt.Sprintf("%d in %s", q.Limit, short(time.Duration(q.Window*1e9))), Used: "–", Paused: "no",
	}
	switch {
	case q.Limit < 0:
		shown.Allowed = "no limit"
	case q.Limit == 0:
		shown.Allowed = "not known yet"
	default:
		shown.Share = percent(float64(q.Recent) / float64(q.Limit))
	}
	if q.Used > 0 {
		shown.Used = fmt.Sprintf("%.1f %%", 100*q.Used)
	}
	if q.PausedUntil != nil && q.PausedUntil.After(now) {
		shown.Paused = "for " + short(q.PausedUntil.Sub(now))
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
	d := now.Sub(t).Truncate(time.Second)
	if d < time.Second {
		return "just now"
	}
	return short(d) + " ago"
}

// short writes a duration without a fraction that says nothing.
func short(d time.Duration) string { return strings.Replace(view.Short(d), ".0s", "s", 1) }
