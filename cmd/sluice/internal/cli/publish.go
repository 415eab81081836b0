package cli

import (
	"context"
	"sync"
	"time"

	"sluice/cmd/sluice/internal/metrics"
	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/job"
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
		i.board.SetLetters(view.LettersOf(counts))
	}
}

// publishRest publishes that a follow waits for its next round, after one that ended with the verdict.
func (i *ingest) publishRest(after job.Verdict) {
	if i.published() {
		i.board.Publish(i.waiting(after))
	}
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
