package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator"
	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink"
)

// snapshot returns the view of the run, without its shards.
func (i *ingest) snapshot(phase view.Phase) view.View {
	v := view.View{Job: i.settings.job, Source: i.source.name, Version: i.version(), Phase: phase, Started: i.started, At: time.Now()}
	i.setPause(&v)
	if i.client == nil {
		return v
	}
	if total, known := i.client.Total(); known && i.span() == ledger.Everything {
		v.Total = total // the API counts all events, not those of a span
	}
	if s := i.run.Snapshot(); s.Job != nil && (s.Job.Round > 1 || i.every != 0) {
		v.Round, v.Watermark = s.Job.Round, view.PointInTime(s.Job.Watermark)
		if s.Round != nil {
			v.Late = s.Round.Late.Total()
		}
	}
	v.SetTraffic(i.client.Traffic(), i.pacer.Status())
	return v
}

// progress returns the view of the run while its shards are walked.
func (i *ingest) progress(phase view.Phase) view.View {
	v, s := i.snapshot(phase), i.run.Snapshot()
	v.SetProgress(&s.Shards, i.timeSpan(&s, s.Shards.Shards, v.At))
	v.Stored, v.Before = v.Stored+s.Earlier.Events, s.Before
	since, err := i.db.Waiting()
	if errors.Is(err, sink.ErrDiskFull) {
		v.Away = "its disk is full"
	} else if err != nil {
		v.Away = "it is away"
	}
	v.Limit = i.limitedBy(&v, s.Shards.Active, since, err)
	return v
}

// ended returns the view of a run that has ended, as it was last.
func (i *ingest) ended(end ending) view.View {
	v, last := i.snapshot(view.Ended), &i.last
	v.ExitCode, v.Verdict = end.code, strings.Join(append([]string{end.text}, end.findings...), "\n")
	v.Stored, v.Rejected, v.LastCommit = last.Stored, last.Rejected, last.LastCommit
	v.Shards, v.Oldest, v.Newest = last.Shards, last.Oldest, last.Newest
	return v
}

// setFigures puts on v what the ledger has of the job at the end of a run. If it could not be read, the shards stay as they were last.
func (i *ingest) setFigures(v *view.View, f *job.Figures) {
	s := i.run.Snapshot()
	v.Before = s.Before
	if f.Checkpoints == nil {
		return
	}
	v.Counts, v.Stored = f.Counts, f.Counts.Events
	latest := map[int]*view.Shard{}
	for k := range v.Shards {
		latest[v.Shards[k].Number] = &v.Shards[k]
	}
	shards := view.Progress(f.Checkpoints)
	v.SetShards(shards, i.timeSpan(&s, shards, v.At))
	for k := range v.Shards {
		one := &v.Shards[k]
		one.Doing = ""
		if last := latest[one.Number]; last != nil {
			one.Pages, one.Commit = last.Pages, last.Commit
		}
	}
}

// timeSpan returns the span of time that is drawn: that of the round up to the newest event when it began, or from the oldest event to
// the newest if this run has looked for them.
func (i *ingest) timeSpan(s *job.Snapshot, shards []coordinator.ShardProgress, now time.Time) shard.Window {
	if span, ok := view.SpanOf(s.Round); ok {
		return span
	}
	if s.Newest > s.Oldest && s.Oldest != 0 && i.span() == ledger.Everything {
		return shard.Window{Start: s.Oldest, End: s.Newest.Add(time.Millisecond)}
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
