package cli

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"sluice/cmd/sluice/internal/metrics"
	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/shard"
)

const (
	publishEvery = time.Second
	countEvery   = 5 * time.Second // the figures that take a query
)

// showWalk draws and publishes the progress of the shards until the returned function is called.
func (i *ingest) showWalk(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var showing sync.WaitGroup
	showing.Go(i.guarded(func() {
		terminal.Show(ctx, i.Stderr, i.Environ, i.json, func() view.View { return i.walking(view.Ingesting) })
	}))
	if i.published() {
		showing.Go(i.guarded(func() {
			every(ctx, publishEvery, func() { i.board.Publish(i.walking(view.Ingesting)) })
		}))
		showing.Go(i.guarded(func() {
			every(ctx, countEvery, func() { i.publishTables(ctx) })
		}))
	}
	return func() {
		cancel()
		showing.Wait()
		if i.published() {
			i.last = i.walking(view.Checking)
			i.board.Publish(i.last)
		}
	}
}

// published reports whether the run has a board, for the listener or the file of metrics.
func (i *ingest) published() bool { return i.board != nil }

// openBoard opens the listener, if one is wanted, before anything else: an address that is taken is reported at once.
func (i *ingest) openBoard() (err error) {
	if i.settings.listen == "" && i.settings.metricsFile == "" {
		return nil
	}
	i.board = view.NewBoard(i.snapshot(view.Starting))
	if i.settings.listen != "" {
		i.listener, err = i.Program.listen(i.settings, i.board)
	}
	return err
}

// every calls do at once, and then in an interval until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		do()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// publishTables publishes the dead letters by reason, and the rounds of a job that has more than its first load. While the database is
// away they stay as they are.
func (i *ingest) publishTables(ctx context.Context) {
	if !i.published() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, countEvery)
	defer cancel()
	known := i.run.Snapshot().Job
	if known.Round > 1 {
		if rounds, err := i.db.Rounds(ctx, known.ID); err == nil {
			i.board.SetRounds(view.Rounds(rounds))
		}
	}
	if counts, err := i.db.DeadLetterReasons(ctx, known.ID); err == nil {
		i.board.SetLetters(counts)
	}
}

// publishRest publishes that a follow waits for its next round, after one that ended with the verdict.
func (i *ingest) publishRest(after job.Verdict) {
	if i.published() {
		i.look()
		i.board.Publish(i.waiting(after))
	}
}

// lookEvery is how often a follow that waits looks whether rows could be stored: the rounds with nothing new store none.
const lookEvery = 2 * time.Second

func (i *ingest) look() {
	if time.Since(i.looked) < lookEvery {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	i.looked, i.unusable = time.Now(), i.db.Usable(ctx)
}

// publishEnd publishes the end of a run, and writes the file for the textfile collector.
func (i *ingest) publishEnd(v view.View) {
	if !i.published() {
		return
	}
	i.board.Publish(v)
	if i.settings.metricsFile == "" {
		return
	}
	last, _ := i.board.View()
	if err := metrics.WriteFile(i.settings.metricsFile, last); err != nil {
		i.log.Warn("the metrics could not be written", "file", i.settings.metricsFile, "err", err)
	}
}

// snapshot returns the view of the run, without its shards.
func (i *ingest) snapshot(phase view.Phase) view.View {
	v := view.View{Job: i.settings.job, Source: i.source.name, Version: i.version(), Phase: phase, Started: i.started, At: time.Now()}
	i.setPause(&v)
	v.Unread = i.run == nil || i.run.Snapshot().Job == nil
	if i.db != nil {
		v.WentBack = i.db.WentBack()
	}
	if i.source.client == nil {
		return v
	}
	if total, known := i.source.client.Total(); known && i.span() == ledger.Everything {
		v.Total = total // the API counts all events, not those of a span
	}
	s := i.run.Snapshot()
	v.SetRound(&s, i.every != 0)
	v.SetTraffic(i.source.client.Traffic(), i.source.pacer.Status())
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
	switch {
	case i.unusable != nil:
		v.Away = i.unusable.Error()
		v.Limit = "the database: " + v.Away
	case after.Status != job.Complete && after.Status != job.Doubt:
		v.Limit = after.Text
	}
	return v
}

// ended returns the view of a run that has ended, with the figures of the ledger if there are any.
func (i *ingest) ended(end ending, figures *job.Figures) view.View {
	v := i.snapshot(view.Ended)
	v.ExitCode, v.Verdict = end.code, strings.Join(append([]string{end.text}, end.findings...), "\n")
	v.SetLast(&i.last)
	v.Unread = true
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
	for _, q := range i.source.pacer.Status() {
		switch {
		case time.Now().Before(q.PausedUntil):
			words += fmt.Sprintf(", whose %s is paused until %s", q.Name, q.PausedUntil.UTC().Format(time.RFC3339))
		case q.Waiting > 0:
			words += fmt.Sprintf(", whose %s has a quota of %s", q.Name, q.Limit)
		}
	}
	return words
}
