package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"sluice/cmd/sluice/internal/live"
	"sluice/cmd/sluice/internal/metrics"
	"sluice/coordinator"
	"sluice/fetch"
	"sluice/shard"
	"sluice/sink"
)

const (
	publishEvery = time.Second
	countEvery   = 5 * time.Second // dead letters, by a query
)

// watched tells whether anybody outside may look at the run.
func (i *ingest) watched() bool { return i.board != nil }

// beWatched opens the listener, if one is wanted, before anything else: an address that is taken is said at once.
func (i *ingest) beWatched() (err error) {
	if i.settings.listen == "" && i.settings.metricsFile == "" {
		return nil
	}
	i.board = live.NewBoard(i.seen(live.Starting))
	if i.settings.listen != "" {
		i.listener, err = i.program.listen(i.settings.listen, i.settings.pprof, i.board)
	}
	return err
}

// seen returns what is known without the shards.
func (i *ingest) seen(phase live.Phase) live.View {
	v := live.View{Job: i.settings.job, Source: i.source.name, Version: version, Phase: phase, Started: i.started, At: time.Now()}
	if i.client != nil {
		i.seenAPI(&v)
	}
	return v
}

func (i *ingest) seenAPI(v *live.View) {
	if total, known := i.client.Total(); known && i.settings.span() == unbounded {
		v.Total = total
	}
	t, quotas := i.client.Traffic(), i.pacer.Status()
	v.Requests = live.Traffic{Requests: requestsOf(t), Busy: t.Busy.Seconds()}
	for k := range quotas {
		v.Quotas = append(v.Quotas, seenQuota(&quotas[k], v.At))
	}
}

func requestsOf(t fetch.Traffic) live.Requests {
	return live.Requests{
		List: t.List, Stream: t.Stream, ListRefused: t.ListRefused, StreamRefused: t.StreamRefused, Access: t.Access,
		Retries: t.Retries, Cached: t.Cached, Bytes: t.Bytes,
	}
}

func seenQuota(q *fetch.QuotaStatus, now time.Time) live.Quota {
	seen := live.Quota{
		Endpoint: q.Endpoint.String(), Limit: q.Limit.N, Window: q.Limit.Window.Seconds(), Known: q.Known.String(), Recent: q.Recent,
		Used: q.Used, Waiting: q.Waiting,
	}
	if q.PausedUntil.After(now) {
		seen.PausedUntil = &q.PausedUntil
	}
	return seen
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
			i.board.Publish(i.seenShards(c, live.Ingesting))
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}))
	publishing.Go(i.guarded(func() { i.countLetters(ctx) }))
	return func() {
		cancel()
		publishing.Wait()
		i.last = i.seenShards(c, live.Checking)
		i.board.Publish(i.last)
	}
}

// countLetters counts the dead letters by reason now and then.
func (i *ingest) countLetters(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		i.noteLetters(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (i *ingest) noteLetters(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, countEvery)
	defer cancel()
	counts, err := i.db.DeadLetterReasons(ctx, i.job.ID)
	if err != nil {
		return // the database is away: the page says so
	}
	i.board.SetLetters(lettersOf(counts))
}

func lettersOf(counts []sink.ReasonCount) (letters []live.Letters) {
	for _, c := range counts {
		letters = append(letters, live.Letters(c))
	}
	return letters
}

func (i *ingest) seenShards(c *coordinator.Coordinator, phase live.Phase) live.View {
	s := c.Progress()
	v := i.seen(phase)
	v.Stored, v.Before, v.Rejected, v.Queueing = s.Before+s.Events, i.before, s.Rejected, s.Queueing
	v.Limit = i.limitedBy(s, i.pacer.Status())
	if _, err := i.db.Waiting(); errors.Is(err, sink.ErrDiskFull) {
		v.Away = "its disk is full"
	} else if err != nil {
		v.Away = "it is away"
	}
	line := i.drawn(s.Shards, v.At)
	for k := range s.Shards {
		one := seenShard(&s.Shards[k], line)
		if !one.Commit.IsZero() && (v.LastCommit == nil || one.Commit.After(*v.LastCommit)) {
			v.LastCommit = &one.Commit
		}
		v.Shards = append(v.Shards, one)
	}
	return v
}

// drawn returns the part of the time line that is drawn: from the oldest event to the newest where this run has looked for them.
func (i *ingest) drawn(shards []coordinator.ShardProgress, now time.Time) shard.Window {
	if i.newest > i.oldest && i.oldest != 0 && i.settings.span() == unbounded {
		return shard.Window{Start: i.oldest, End: i.newest.Add(time.Millisecond)}
	}
	return guessed(shards, now)
}

// guessed draws windows that are open to the past or the future about as long as the others.
func guessed(shards []coordinator.ShardProgress, now time.Time) shard.Window {
	line := shard.Window{Start: shard.Future, End: shard.Past}
	see := func(at shard.Instant) {
		if at.Finite() && at != 0 {
			line.Start, line.End = min(line.Start, at), max(line.End, at)
		}
	}
	for k := range shards {
		see(shards[k].Window.Start)
		see(shards[k].Window.End)
		see(shards[k].OldestSeen)
	}
	if line.Start >= line.End {
		at := shard.Instant(now.UnixMicro())
		return shard.Window{Start: at.Add(-time.Hour), End: at}
	}
	if n := len(shards); n > 2 {
		each := line.End.Sub(line.Start) / time.Duration(n-2)
		return shard.Window{Start: line.Start.Add(-each), End: line.End.Add(each)}
	}
	half := line.End.Sub(line.Start)/2 + time.Minute
	return shard.Window{Start: line.Start.Add(-half), End: line.End.Add(half)}
}

// doing is what a running shard does, in words.
var doing = map[shard.Phase]string{
	shard.Idle: "beginning", shard.Fetching: "fetching", shard.Pacing: "waiting for quota", shard.Pausing: "about to try again",
	shard.Queueing: "waiting to write",
}

func seenShard(s *coordinator.ShardProgress, line shard.Window) live.Shard {
	one := live.Shard{
		Number: s.Shard, State: string(s.State), Start: s.Window.Start.String(), End: s.Window.End.String(),
		Events: s.Before.Events + s.Events, Rejected: s.Before.DeadLetters + s.Rejected, Pages: s.Pages,
	}
	window := shard.Window{Start: max(s.Window.Start, line.Start), End: min(s.Window.End, line.End)}
	whole := float64(line.End - line.Start)
	one.From, one.To = float64(window.Start-line.Start)/whole, float64(window.End-line.Start)/whole
	switch {
	case s.State == shard.Done:
		one.Read = 1
	case s.OldestSeen != 0 && window.End > window.Start:
		one.Read = min(max(float64(window.End-s.OldestSeen)/float64(window.End-window.Start), 0), 1)
		one.Place = s.OldestSeen.String()
	}
	if s.State == shard.Running {
		one.Doing = doing[s.Phase]
	}
	if s.LastCommit != 0 {
		one.Commit = time.Unix(0, s.LastCommit)
	}
	return one
}

// published puts the end on the board, and into the file for the textfile collector.
func (i *ingest) published(r *result, ledger []shard.Checkpoint) {
	if !i.watched() {
		return
	}
	i.noteLetters(context.Background())
	v := i.seen(live.Ended)
	v.Shards, v.LastCommit, v.Rejected = i.seenLedger(ledger, v.At), i.last.LastCommit, i.last.Rejected
	v.Stored, v.Before, v.Verdict, v.ExitCode = r.Events, r.Events-r.New, r.Verdict, r.ExitCode
	for _, f := range r.Findings {
		v.Verdict += "\n" + f
	}
	i.end(v)
}

// seenLedger returns the shards as they stand in the ledger, or as they were seen last if it could not be read.
func (i *ingest) seenLedger(ledger []shard.Checkpoint, now time.Time) []live.Shard {
	if len(ledger) == 0 {
		return i.last.Shards
	}
	latest := map[int]live.Shard{}
	for _, one := range i.last.Shards {
		latest[one.Number] = one
	}
	var shards []coordinator.ShardProgress
	for k := range ledger {
		shards = append(shards, progressOf(&ledger[k]))
	}
	var seen []live.Shard
	line := i.drawn(shards, now)
	for k := range shards {
		one := seenShard(&shards[k], line)
		one.Pages, one.Commit = latest[one.Number].Pages, latest[one.Number].Commit
		seen = append(seen, one)
	}
	return seen
}

// progressOf is a shard that no run is at.
func progressOf(cp *shard.Checkpoint) coordinator.ShardProgress {
	return coordinator.ShardProgress{Shard: cp.Shard, Window: cp.Window, State: cp.State, Before: cp.Counts, OldestSeen: cp.Resume.At}
}

// notBegun puts an end on the board that came before there was anything to see.
func (i *ingest) notBegun(r *result) {
	if i.watched() {
		v := i.seen(live.Ended)
		v.Verdict, v.ExitCode = r.Verdict, r.ExitCode
		i.end(v)
	}
}

func (i *ingest) end(v live.View) {
	i.board.Publish(v)
	if i.settings.metricsFile == "" {
		return
	}
	last, _ := i.board.View()
	if err := metrics.WriteFile(i.settings.metricsFile, last); err != nil {
		i.log.Warn("the metrics could not be written", "file", i.settings.metricsFile, "err", err)
	}
}
