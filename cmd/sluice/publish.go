package main

import (
	"context"
	"sync"
	"time"

	"sluice/cmd/sluice/internal/metrics"
	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator"
	"sluice/shard"
	"sluice/sink"
)

const (
	publishEvery = time.Second
	countEvery   = 5 * time.Second // what is known by a query
)

// watched tells whether anybody outside may look at the run.
func (i *ingest) watched() bool { return i.board != nil }

// beWatched opens the listener, if one is wanted, before anything else: an address that is taken is said at once.
func (i *ingest) beWatched() (err error) {
	if i.settings.listen == "" && i.settings.metricsFile == "" {
		return nil
	}
	first, _ := i.seen(view.Starting)
	i.board = view.NewBoard(first)
	if i.settings.listen != "" {
		i.listener, err = i.program.listen(i.settings, i.board)
	}
	return err
}

// publish keeps the board up to date while the coordinator runs; the returned function ends that with a last look.
func (i *ingest) publish(ctx context.Context, c *coordinator.Coordinator) func() {
	if !i.watched() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var publishing sync.WaitGroup
	publishing.Go(i.guarded(func() {
		tick := time.NewTicker(publishEvery)
		defer tick.Stop()
		for {
			i.board.Publish(i.seenShards(c, view.Ingesting))
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}))
	publishing.Go(i.guarded(func() { i.readTables(ctx) }))
	return func() {
		cancel()
		publishing.Wait()
		i.last = i.seenShards(c, view.Checking)
		i.board.Publish(i.last)
	}
}

// readTables looks now and then at what only the tables know.
func (i *ingest) readTables(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		i.noteTables(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// noteTables notes the dead letters by reason, and the rounds of a job that has more than its first load.
func (i *ingest) noteTables(ctx context.Context) {
	if !i.watched() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, countEvery)
	defer cancel()
	if i.job.Round > 1 {
		if rounds, err := i.db.Rounds(ctx, i.job.ID); err == nil {
			i.board.SetRounds(roundsOf(rounds))
		}
	}
	counts, err := i.db.DeadLetterReasons(ctx, i.job.ID)
	if err != nil {
		return // the database is away: the page says so
	}
	i.board.SetLetters(lettersOf(counts))
}

func lettersOf(counts []sink.ReasonCount) (letters []view.Letters) {
	for _, c := range counts {
		letters = append(letters, view.Letters(c))
	}
	return letters
}

// published puts the end on the board, and into the file for the textfile collector.
func (i *ingest) published(r *result, ledger []shard.Checkpoint) {
	if !i.watched() {
		return
	}
	i.noteTables(context.Background())
	v, _ := i.seen(view.Ended)
	v.LastCommit, v.Rejected = i.last.LastCommit, i.last.Rejected
	i.seenLedger(&v, ledger)
	v.Stored, v.Before, v.Verdict, v.ExitCode = r.Events, r.Events-r.New, r.Verdict, r.ExitCode
	for _, f := range r.Findings {
		v.Verdict += "\n" + f
	}
	i.end(v)
}

// notBegun puts an end on the board that came before there was anything to see.
func (i *ingest) notBegun(r *result) {
	if i.watched() {
		v, _ := i.seen(view.Ended)
		v.Verdict, v.ExitCode = r.Verdict, r.ExitCode
		i.end(v)
	}
}

func (i *ingest) end(v view.View) {
	i.board.Publish(v)
	if i.settings.metricsFile == "" {
		return
	}
	last, _ := i.board.View()
	if err := metrics.WriteFile(i.settings.metricsFile, last); err != nil {
		i.log.Warn("the metrics could not be written", "file", i.settings.metricsFile, "err", err)
	}
}
