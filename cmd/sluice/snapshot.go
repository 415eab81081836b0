package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator"
	"sluice/shard"
	"sluice/sink"
)

// snapshot returns the view of the run, without its shards.
func (i *ingest) snapshot(phase view.Phase) view.View {
	v := view.View{Job: i.settings.job, Source: i.source.name, Version: version, Phase: phase, Started: i.started, At: time.Now()}
	i.setPause(&v)
	if i.client == nil {
		return v
	}
	if total, known := i.client.Total(); known && i.settings.span() == unbounded {
		v.Total = total // the API counts all events, not those of a span
	}
	if i.job != nil && (i.job.Round > 1 || i.every != 0) {
		v.Round, v.Watermark = i.job.Round, view.PointInTime(i.job.Watermark)
		if i.round != nil {
			v.Late = i.round.Late.Total()
		}
	}
	v.SetTraffic(i.client.Traffic(), i.pacer.Status())
	return v
}

// progress returns the view of the run while a coordinator works on its shards.
func (i *ingest) progress(c *coordinator.Coordinator, phase view.Phase) view.View {
	v, s := i.snapshot(phase), c.Progress()
	v.SetProgress(&s, i.timeSpan(s.Shards, v.At))
	v.Stored, v.Before = v.Stored+i.earlier.Events, i.before
	since, err := i.db.Waiting()
	if errors.Is(err, sink.ErrDiskFull) {
		v.Away = "its disk is full"
	} else if err != nil {
		v.Away = "it is away"
	}
	v.Limit = i.limitedBy(&v, s.Active, since, err)
	return v
}

// ended returns the view of a run that has ended, as it was last.
func (i *ingest) ended(end verdict) view.View {
	v, last := i.snapshot(view.Ended), &i.last
	v.ExitCode, v.Verdict = end.code, strings.Join(append([]string{end.text}, end.findings...), "\n")
	v.Stored, v.Before, v.Rejected, v.LastCommit = last.Stored, i.before, last.Rejected, last.LastCommit
	v.Shards, v.Oldest, v.Newest = last.Shards, last.Oldest, last.Newest
	return v
}

// readLedger puts on v what the ledger has of the job at the end of a run.
func (i *ingest) readLedger(ctx context.Context, v *view.View) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	checkpoints, err := i.db.Load(ctx, i.job.ID)
	if err != nil {
		return err
	}
	v.Counts, err = i.db.Earlier(ctx, i.job.ID)
	for k := range checkpoints {
		v.Counts = v.Counts.Add(checkpoints[k].Counts)
	}
	v.Stored = v.Counts.Events
	latest := map[int]*view.Shard{}
	for k := range v.Shards {
		latest[v.Shards[k].Number] = &v.Shards[k]
	}
	shards := view.Progress(checkpoints)
	v.SetShards(shards, i.timeSpan(shards, v.At))
	for k := range v.Shards {
		one := &v.Shards[k]
		one.Doing = ""
		if last := latest[one.Number]; last != nil {
			one.Pages, one.Commit = last.Pages, last.Commit
		}
	}
	return err
}

// timeSpan returns the span of time that is drawn: that of the round up to the newest event when it began, or from the oldest event to
// the newest if this run has looked for them.
func (i *ingest) timeSpan(shards []coordinator.ShardProgress, now time.Time) shard.Window {
	if span, ok := view.SpanOf(i.round); ok {
		return span
	}
	if i.newest > i.oldest && i.oldest != 0 && i.settings.span() == unbounded {
		return shard.Window{Start: i.oldest, End: i.newest.Add(time.Millisecond)}
	}
	return view.GuessSpan(shards, now)
}

// limitedBy returns what limits the run right now; the database takes no commits since then if there is an error.
func (i *ingest) limitedBy(v *view.View, active int, since time.Time, away error) string {
	quotas := v.ScarceQuotas(active)
	switch {
	case v.Paused != nil:
		return view.YouPaused
	case errors.Is(away, sink.ErrDiskFull):
		return fmt.Sprintf("the database's disk, full for %s", view.Short(time.Since(since)))
	case away != nil:
		return fmt.Sprintf("the database, away for %s", view.Short(time.Since(since)))
	case active == 0:
		return ""
	case 2*v.Queueing >= active:
		return "the database"
	case quotas != "":
		return quotas
	}
	return "the API's latency"
}

// waits returns what a shard in this phase waits for, for the log of a shard that commits nothing.
func (i *ingest) waits(phase shard.Phase) string {
	since, err := i.db.Waiting()
	switch {
	case !phase.AtSource() && err != nil:
		return fmt.Sprintf("the database, which takes no commits since %s: %v;", since.UTC().Format(time.RFC3339), err)
	case !phase.AtSource():
		return "the database, or for memory"
	case phase == shard.Paused:
		return "you to end the pause"
	}
	words := "an answer of the API"
	for _, q := range i.pacer.Status() {
		switch {
		case time.Now().Before(q.PausedUntil):
			words += fmt.Sprintf(", whose %s is paused until %s", q.Name, q.PausedUntil.UTC().Format(time.RFC3339))
		case q.Waiting > 0:
			words += fmt.Sprintf(", whose %s has a quota of %s", q.Name, q.Limit)
		}
	}
	return words
}
