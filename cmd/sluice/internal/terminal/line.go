package terminal

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// line returns the view in one line.
func line(v *view.View) string {
	return strings.Join(append([]string{amount(v)}, figures(v)...), ", ")
}

// amount returns how much is stored.
func amount(v *view.View) string {
	if v.Total == 0 {
		return fmt.Sprintf("%s events, %s of the time", view.Number(v.Stored), view.Percent(v.Share()))
	}
	return fmt.Sprintf("%s of %s events (%s)", view.Number(v.Stored), view.Number(v.Total), view.Percent(v.Share()))
}

// figures returns everything but the amount, the most important first. Of a run that is paused the pace is not known.
func figures(v *view.View) (parts []string) {
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if v.Paused != nil {
		add("%s", paused(v))
	} else {
		add("%s events/s", view.Number(int64(v.Rate)))
		if v.Left != nil {
			add("about %s left", view.Short(*v.Left))
		}
	}
	add("%d/%d shards", v.Count("done"), len(v.Shards))
	if n := v.Count("failed"); n > 0 {
		add("%d failed", n)
	}
	if v.Limit != "" && v.Paused == nil {
		add("limited by %s", v.Limit)
	}
	for i := range v.Quotas {
		if q := &v.Quotas[i]; q.Limit > 0 {
			used := ""
			if q.Used > 0 {
				used = fmt.Sprintf(" (%.0f%% used)", 100*q.Used)
			}
			add("%s %d of %d in %s%s", q.Endpoint, q.Recent, q.Limit, q.Length(), used)
		}
	}
	for _, one := range []struct {
		n    int64
		what string
	}{{v.Rejected, "dead letters"}, {v.Requests.Retries, "repeated"}, {v.Requests.Refused(), "refused"}} {
		if one.n > 0 {
			add("%s %s", view.Number(one.n), one.what)
		}
	}
	return parts
}

// paused returns that the run is paused, for how long if that is known, and how to resume it.
func paused(v *view.View) string {
	if v.Paused.IsZero() {
		return fmt.Sprintf("paused by you (%s resumes)", v.GoOn)
	}
	return fmt.Sprintf("paused by you for %s (%s resumes)", view.Short(v.At.Sub(*v.Paused)), v.GoOn)
}

// progress is the line of `--json`: an object as slog's JSON handler writes them, so that readers of stderr need one rule.
type progress struct {
	Time     time.Time    `json:"time"`
	Level    string       `json:"level"`
	Msg      string       `json:"msg"`
	Job      string       `json:"job"`
	Stored   int64        `json:"stored"`
	Total    int64        `json:"total"` // zero means unknown
	Share    float64      `json:"share"`
	Rate     float64      `json:"events_per_second"`
	Left     *float64     `json:"seconds_left"` // null while an estimate would be a guess
	Shards   int          `json:"shards"`
	Done     int          `json:"shards_done"`
	Failed   int          `json:"shards_failed"`
	Running  int          `json:"shards_running"`
	Rejected int64        `json:"dead_letters"`
	Repeated int64        `json:"requests_repeated"`
	Refused  int64        `json:"requests_refused"`
	Limit    string       `json:"limited_by"`
	Paused   bool         `json:"paused"`
	Quotas   []view.Quota `json:"quotas"`
}

// jsonLine returns the view as a JSON object in one line.
func jsonLine(v *view.View) string {
	p := progress{
		Time: v.At, Level: "INFO", Msg: "progress", Job: v.Job, Stored: v.Stored, Total: v.Total, Share: v.Share(), Rate: v.Rate,
		Shards: len(v.Shards), Done: v.Count("done"), Failed: v.Count("failed"), Running: v.Count("running"),
		Rejected: v.Rejected, Repeated: v.Requests.Retries, Refused: v.Requests.Refused(), Limit: v.Limit, Paused: v.Paused != nil,
		Quotas: append([]view.Quota{}, v.Quotas...),
	}
	if v.Left != nil && !p.Paused {
		seconds := v.Left.Seconds()
		p.Left = &seconds
	}
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // numbers and text
	}
	return string(text)
}
