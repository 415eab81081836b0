package terminal

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

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

// jsonLine returns the view as the line of `--json`: an object as slog's JSON handler writes them, so that readers of stderr need one rule.
func jsonLine(v *view.View) string {
	var left any // null while an estimate would be a guess
	if v.Left != nil && v.Paused == nil {
		left = v.Left.Seconds()
	}
	r := slog.NewRecord(v.At, slog.LevelInfo, "progress", 0)
	r.Add(
		"job", v.Job, "stored", v.Stored, "total", v.Total, // zero means unknown
		"share", v.Share(), "events_per_second", v.Rate, "seconds_left", left,
		"shards", len(v.Shards), "shards_done", v.Count("done"), "shards_failed", v.Count("failed"), "shards_running", v.Count("running"),
		"dead_letters", v.Rejected, "requests_repeated", v.Requests.Retries, "requests_refused", v.Requests.Refused(),
		"limited_by", v.Limit, "paused", v.Paused != nil, "quotas", append([]view.Quota{}, v.Quotas...),
	)
	var text strings.Builder
	_ = slog.NewJSONHandler(&text, nil).Handle(context.Background(), r) // a Builder takes everything
	return strings.TrimSpace(text.String())
}
