package main

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator"
	"sluice/fetch"
	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/sink"
)

// seen returns what is known without the shards, and the quotas that it was made from.
func (i *ingest) seen(phase view.Phase) (v view.View, quotas []quota.Status) {
	v = view.View{Job: i.settings.job, Source: i.source.name, Version: version, Phase: phase, Started: i.started, At: time.Now()}
	i.seenPause(&v)
	if i.client != nil {
		quotas = i.pacer.Status()
		i.seenAPI(&v, quotas)
	}
	return v, quotas
}

func (i *ingest) seenAPI(v *view.View, quotas []quota.Status) {
	if total, known := i.client.Total(); known && i.settings.span() == unbounded {
		v.Total = total
	}
	i.seenRound(v)
	t := i.client.Traffic()
	v.Requests = view.Traffic{Requests: requestsOf(t), Busy: t.Busy.Seconds()}
	for k := range quotas {
		v.Quotas = append(v.Quotas, seenQuota(&quotas[k], v.At))
	}
}

func requestsOf(t fetch.Traffic) view.Requests {
	return view.Requests{
		List: t.List, Stream: t.Stream, ListRefused: t.ListRefused, StreamRefused: t.StreamRefused, Access: t.Access,
		Retries: t.Retries, Cached: t.Cached, Bytes: t.Bytes,
	}
}

func seenQuota(q *quota.Status, now time.Time) view.Quota {
	seen := view.Quota{
		Endpoint: q.Name, Limit: q.Limit.N, Window: q.Limit.Window.Seconds(), Known: q.Known.String(), Recent: q.Recent,
		Used: q.Used, Waiting: q.Waiting,
	}
	if q.PausedUntil.After(now) {
		seen.PausedUntil = &q.PausedUntil
	}
	return seen
}

func (i *ingest) seenShards(c *coordinator.Coordinator, phase view.Phase) view.View {
	s := c.Progress()
	v, quotas := i.seen(phase)
	v.Stored, v.Before, v.Rejected, v.Queueing = i.earlier.Events+s.Before+s.Events, i.before, s.Rejected, s.Queueing
	v.Limit = i.limitedBy(s, quotas)
	if _, err := i.db.Waiting(); errors.Is(err, sink.ErrDiskFull) {
		v.Away = "its disk is full"
	} else if err != nil {
		v.Away = "it is away"
	}
	line(&v, s.Shards, i.drawn(s.Shards, v.At))
	for k := range v.Shards {
		if one := &v.Shards[k]; !one.Commit.IsZero() && (v.LastCommit == nil || one.Commit.After(*v.LastCommit)) {
			v.LastCommit = &one.Commit
		}
	}
	return v
}

// line puts the shards on a time line, from the oldest window to the newest: a window that was split has its parts where it was,
// whatever their numbers are.
func line(v *view.View, shards []coordinator.ShardProgress, drawn shard.Window) {
	v.Oldest, v.Newest = drawn.Start.Time(), drawn.End.Time()
	slices.SortFunc(shards, func(a, b coordinator.ShardProgress) int {
		return cmp.Or(cmp.Compare(a.Window.Start, b.Window.Start), cmp.Compare(a.Shard, b.Shard))
	})
	for k := range shards {
		v.Shards = append(v.Shards, seenShard(&shards[k], drawn))
	}
}

// drawn returns the part of the time line that is drawn: from the oldest event to the newest where this run has looked for them.
// Of a round that is its own span, up to the newest event when it began.
func (i *ingest) drawn(shards []coordinator.ShardProgress, now time.Time) shard.Window {
	if span, ok := spanOf(i.round); ok {
		return span
	}
	if i.newest > i.oldest && i.oldest != 0 && i.settings.span() == unbounded {
		return shard.Window{Start: i.oldest, End: i.newest.Add(time.Millisecond)}
	}
	return guessed(shards, now)
}

// spanOf returns what of a round is drawn; false: it has no beginning, or there is no round.
func spanOf(r *sink.Round) (shard.Window, bool) {
	if r == nil || !r.Span.Start.Finite() || r.Newest <= r.Span.Start {
		return shard.Window{}, false
	}
	return shard.Window{Start: r.Span.Start, End: min(r.Span.End, r.Newest.Add(time.Millisecond))}, true
}

// drawnOf is the same for a job as its tables tell it.
func drawnOf(s *sink.Status, progress []coordinator.ShardProgress, now time.Time) shard.Window {
	if len(s.Rounds) > 0 && s.Rounds[0].Number == s.Job.Round {
		if span, ok := spanOf(s.Rounds[0]); ok {
			return span
		}
	}
	return guessed(progress, now)
}

// guessed draws windows that are open to the past or the future about as long as the others, and the oldest at least as far as
// it was read.
func guessed(shards []coordinator.ShardProgress, now time.Time) shard.Window {
	inner, oldest := known(shards)
	if inner.Start > inner.End { // a single window, open to both sides
		end := shard.Instant(now.UnixMicro())
		return shard.Window{Start: min(oldest, end.Add(-time.Hour)), End: end}
	}
	each := max(time.Hour, now.Sub(inner.End.Time()))
	if n := len(shards); n > 2 && inner.End > inner.Start {
		each = inner.End.Sub(inner.Start) / time.Duration(n-2)
	}
	drawn := inner
	for k := range shards {
		s := &shards[k]
		if !s.Window.End.Finite() {
			drawn.End = inner.End.Add(each)
		}
		if !s.Window.Start.Finite() && s.State == shard.Done && s.OldestSeen != 0 {
			drawn.Start = min(drawn.Start, s.OldestSeen)
		} else if !s.Window.Start.Finite() {
			drawn.Start = min(inner.Start.Add(-each), oldest)
		}
	}
	return drawn
}

// known returns from where to where windows have ends, and the oldest instant that was read; the window is empty if none has.
func known(shards []coordinator.ShardProgress) (inner shard.Window, oldest shard.Instant) {
	inner, oldest = shard.Window{Start: shard.Future, End: shard.Past}, shard.Future
	for k := range shards {
		for _, at := range []shard.Instant{shards[k].Window.Start, shards[k].Window.End} {
			if at.Finite() {
				inner.Start, inner.End = min(inner.Start, at), max(inner.End, at)
			}
		}
		if at := shards[k].OldestSeen; at != 0 && at.Finite() {
			oldest = min(oldest, at)
		}
	}
	return inner, oldest
}

// doing is what a running shard does, in words.
var doing = map[shard.Phase]string{
	shard.Idle: "beginning", shard.Fetching: "fetching", shard.Pacing: "waiting for quota", shard.BackingOff: "about to try again",
	shard.Queueing: "waiting to write", shard.Paused: "paused by you",
}

func seenShard(s *coordinator.ShardProgress, line shard.Window) view.Shard {
	one := view.Shard{
		Number: s.Shard, Parent: s.Parent, State: string(s.State), Start: s.Window.Start.String(), End: s.Window.End.String(),
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

// seenLedger puts the shards on v as they stand in the ledger, or as they were seen last if it could not be read.
func (i *ingest) seenLedger(v *view.View, ledger []shard.Checkpoint) {
	if len(ledger) == 0 {
		v.Shards, v.Oldest, v.Newest = i.last.Shards, i.last.Oldest, i.last.Newest
		return
	}
	latest := map[int]view.Shard{}
	for _, one := range i.last.Shards {
		latest[one.Number] = one
	}
	shards := progressOf(ledger)
	line(v, shards, i.drawn(shards, v.At))
	for k := range v.Shards {
		one := &v.Shards[k]
		one.Pages, one.Commit = latest[one.Number].Pages, latest[one.Number].Commit
	}
}

// progressOf is the shards of a ledger, at which no run is.
func progressOf(ledger []shard.Checkpoint) (all []coordinator.ShardProgress) {
	parents := coordinator.Parents(ledger)
	for i := range ledger {
		cp := &ledger[i]
		all = append(all, coordinator.ShardProgress{
			Shard: cp.Shard, Parent: parents[cp.Shard], Window: cp.Window, State: cp.State, Before: cp.Counts, OldestSeen: cp.Resume.At,
		})
	}
	return all
}

// checkpointsOf is the ledger without its times.
func checkpointsOf(s *sink.Status) (all []shard.Checkpoint) {
	for i := range s.Shards {
		all = append(all, s.Shards[i].Checkpoint)
	}
	return all
}
