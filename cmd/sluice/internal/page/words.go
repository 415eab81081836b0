package page

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// words is a view as the pages write it. Templates take from the view itself whatever needs no words.
type words struct {
	View                            *view.View
	Run, Title                      string
	Follows                         bool // the page shows a run that goes on
	Phase                           phase
	Verdict                         string
	Percent, Stored, Of, Left, Took string
	Rate, Mean, Limit, LastCommit   string
	Done, Troubled, Requests        string
	Refused, Rejected, RejectedNote string
	Watermark, Behind               string // of a job that follows its source
	Stamp                           string
	Ages                            []string // of the time line, from its oldest end
	Line                            []piece
	Rows                            []row
	Hidden                          int // shards that have no row
	Charts                          []chart
	Lag                             []chart // of a job that has rounds
	Rounds                          []roundRow
	Quotas                          []quota
	MostLetters                     int64 // for one reason
	Warnings                        []view.Warning
}

// phase is a state in words, with a colour, and with a sign if colours cannot be seen.
type phase struct{ Text, Class, Sign string }

func put(v *view.View) *words {
	w := &words{
		View: v, Run: fmt.Sprintf("%x", v.Started.UnixNano()), Follows: v.Phase != view.Ended, Verdict: v.Verdict,
		Stored: view.Number(v.Stored), Limit: cmp.Or(v.Limit, "nothing"), Phase: phaseOf(v),
		Requests: view.Number(v.Requests.List + v.Requests.Stream),
		Refused:  fmt.Sprintf("%s refused, %s repeated", view.Number(v.Requests.Refused()), view.Number(v.Requests.Retries)),
		Stamp:    "as of " + v.At.UTC().Format("2006-01-02 15:04:05 MST"), Charts: []chart{ratesOf(v.History, v.Phase == view.Ended), quotasOf(v)},
		Warnings: slices.Clone(v.Warnings),
	}
	slices.Reverse(w.Warnings)
	w.progress(v)
	if v.Unread && v.Stored == 0 {
		w.Stored = "an unknown number of"
	}
	w.letters(v)
	w.shards(v)
	if v.Watermark != nil {
		w.Watermark = v.Watermark.UTC().Format("2006-01-02 15:04:05")
		w.Behind = short(max(0, v.At.Sub(*v.Watermark))) + " behind"
		if v.Round > 0 {
			w.Behind += fmt.Sprintf(", round %d", v.Round)
		}
	}
	if len(v.Rounds) > 1 {
		w.Lag = []chart{lagOf(v)}
		for _, r := range v.Rounds[:min(len(v.Rounds), maxRoundRows)] {
			w.Rounds = append(w.Rounds, roundRow{r})
		}
	}
	for i := range v.Quotas {
		w.Quotas = append(w.Quotas, quota{&v.Quotas[i], v.At})
	}
	return w
}

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

// progress writes how much is stored, how fast, and how long the rest will take.
func (w *words) progress(v *view.View) {
	took := short(v.At.Sub(v.Started))
	w.Took = "for " + took
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
	if v.LastCommit != nil {
		w.LastCommit = "last commit " + view.Ago(*v.LastCommit, v.At)
	}
	if v.Phase != view.Ingesting && v.Phase != view.Starting {
		w.Left = "none"
	}
	switch {
	case v.Phase == view.Ended:
		w.Rate, w.Mean, w.LastCommit = view.Number(int64(v.Mean)), "mean of the run", ""
		w.Limit, w.Title, w.Took = "nothing: the run has ended", w.Phase.Text+" · "+v.Job, "took "+took
		if v.ExitCode == 0 {
			w.Percent = "100" // the API counts dead letters, too
		}
	case v.Paused != nil:
		w.Left, w.Took = "paused", "for "+short(v.At.Sub(*v.Paused).Truncate(time.Second))
		w.Title = "paused · " + v.Job
		w.Verdict = fmt.Sprintf("Paused by you at %s: no new pages are requested, pages in flight are committed. To resume: %s. To stop: SIGTERM.",
			v.Paused.UTC().Format("15:04:05 MST"), v.GoOn)
	case v.Phase == view.Checking:
		w.Took = "took " + took
	}
}

// letters sums up the dead letters. Their reasons are counted now and then, those of the shards always.
func (w *words) letters(v *view.View) {
	var sum, shards int64
	for _, l := range v.Letters {
		sum, w.MostLetters = sum+l.Count, max(w.MostLetters, l.Count)
	}
	for i := range v.Shards {
		shards += v.Shards[i].Rejected
	}
	if v.Phase != view.Ended {
		sum = max(sum, shards)
	}
	w.Rejected, w.RejectedNote = view.Number(sum), "all records were readable"
	if sum > 0 {
		w.RejectedNote = fmt.Sprintf("%.2g %% of all records", 100*float64(sum)/float64(max(v.Stored+sum, 1)))
	}
}

// quota is a quota in the table at an instant.
type quota struct {
	*view.Quota
	at time.Time
}

// SoFar returns the share of the allowed requests that was used.
func (q quota) SoFar() string {
	if q.Used == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*q.Used)
}

// Pause returns whether and how long the endpoint is paused.
func (q quota) Pause() string {
	if q.PausedUntil == nil || !q.PausedUntil.After(q.at) {
		return "no"
	}
	return "for " + short(q.PausedUntil.Sub(q.at))
}

// percent returns a share as a number for CSS and for people, and 100 only if it is whole.
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

// ratio returns the share of a part in percent.
func ratio(part, whole any) string {
	return percent(float64(integer(part)) / float64(max(integer(whole), 1)))
}

// integer returns the value of an integer of any size.
func integer(n any) int64 { return reflect.ValueOf(n).Int() }

// short writes a duration without a fraction of zero.
func short(d time.Duration) string { return strings.Replace(view.Short(d), ".0s", "s", 1) }
