package cli

import (
	"fmt"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/shard"
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
	s := i.run.Snapshot()
	v.SetRound(&s, i.every != 0)
	v.SetTraffic(i.client.Traffic(), i.pacer.Status())
	return v
}

// walking returns the view of the run while its shards are walked.
func (i *ingest) walking(phase view.Phase) view.View {
	v, s := i.snapshot(phase), i.run.Snapshot()
	since, away := i.db.Waiting()
	v.SetWalk(&s, since, away)
	return v
}

// waiting returns the view of a follow that waits for its next round, after one that ended with the verdict.
func (i *ingest) waiting(after job.Verdict) view.View {
	v, before := i.snapshot(view.Waiting), i.run.Snapshot().Before
	v.SetLast(&i.last)
	if v.Before = before; i.last.At.IsZero() {
		v.Stored = before
	}
	if after.Status == job.Unreachable {
		v.Limit = after.Text
	}
	return v
}

// ended returns the view of a run that has ended, with the figures of the ledger if there are any.
func (i *ingest) ended(end ending, figures *job.Figures) view.View {
	v := i.snapshot(view.Ended)
	v.ExitCode, v.Verdict = end.code, strings.Join(append([]string{end.text}, end.findings...), "\n")
	v.SetLast(&i.last)
	if figures != nil {
		s := i.run.Snapshot()
		v.SetFigures(&s, figures)
	}
	return v
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
