package view

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"sluice/coordinator"
	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Shard is the unit of work: its window, and how far it is. Read is the share of its time that was read and committed, from its
// newest end; it is a guess if the window is open to the past or the future.
type Shard struct {
	Number   int       `json:"number"`
	Parent   int       `json:"part_of,omitempty"` // the shard that it was split from; zero: it was planned as it is
	State    string    `json:"state"`
	Start    string    `json:"start"`
	End      string    `json:"end"`
	From     float64   `json:"from"` // position of the window on the time line, 0 to 1
	To       float64   `json:"to"`
	Read     float64   `json:"read"`
	Place    string    `json:"place,omitempty"` // how far back it was read
	Events   int64     `json:"events"`
	Rejected int64     `json:"rejected"` // dead letters
	Pages    int64     `json:"pages"`    // of this run
	Doing    string    `json:"doing,omitempty"`
	Commit   time.Time `json:"commit,omitzero"`        // the last one
	Took     float64   `json:"took_seconds,omitempty"` // from its first attempt to its last commit
	Attempts int       `json:"attempts,omitempty"`
	Proof    string    `json:"proof,omitempty"` // of its end
	Error    string    `json:"error,omitempty"` // the last one
	// Of the ledger alone.
	Seq     int64     `json:"-"` // batches committed
	Updated time.Time `json:"-"`
}

// States are the states of a shard.
var States = []string{string(shard.Pending), string(shard.Running), string(shard.Done), string(shard.Failed), string(shard.Suspect)}

// Count returns the number of shards in a state.
func (v *View) Count(state string) (n int) {
	for i := range v.Shards {
		if v.Shards[i].State == state {
			n++
		}
	}
	return n
}

// Share returns how much is done: of the events, or of the time if the number of events is unknown.
func (v *View) Share() float64 {
	if v.Total > 0 {
		return min(float64(v.Stored)/float64(v.Total), 1)
	}
	sum := 0.0
	for i := range v.Shards {
		sum += v.Shards[i].Read
	}
	return sum / float64(max(1, len(v.Shards)))
}

// Part names the shard that this one was split from.
func (s *Shard) Part() string {
	if s.Parent == 0 {
		return ""
	}
	return fmt.Sprintf("part of %d", s.Parent)
}

// Beginning returns where a shard's window begins on the time line: if it is open to the past, that is the line's oldest end.
func (v *View) Beginning(s *Shard) time.Time {
	if at, err := time.Parse(time.RFC3339, s.Start); err == nil {
		return at
	}
	return v.Oldest
}

// setShards puts the shards on a time line over the span, from the oldest window to the newest: the parts of a split window are in
// its place, whatever their numbers are.
func (v *View) setShards(shards []coordinator.ShardProgress, span shard.Window) {
	v.Oldest, v.Newest = span.Start.Time(), span.End.Time()
	slices.SortFunc(shards, func(a, b coordinator.ShardProgress) int {
		return cmp.Or(cmp.Compare(a.Window.Start, b.Window.Start), cmp.Compare(a.Shard, b.Shard))
	})
	v.Shards = make([]Shard, len(shards))
	for i := range shards {
		v.Shards[i] = shardOf(&shards[i], span)
	}
}

// phases are the phases of a running shard in words.
var phases = map[shard.Phase]string{
	shard.Idle: "beginning", shard.Fetching: "fetching", shard.Pacing: "waiting for quota", shard.BackingOff: "about to try again",
	shard.Queueing: "waiting to write", shard.Paused: "paused by you",
}

func shardOf(s *coordinator.ShardProgress, span shard.Window) Shard {
	one := Shard{
		Number: s.Shard, Parent: s.Parent, State: string(s.State), Start: s.Window.Start.String(), End: s.Window.End.String(),
		Events: s.Before.Events + s.Events, Rejected: s.Before.DeadLetters + s.Rejected, Pages: s.Pages,
	}
	window := shard.Window{Start: max(s.Window.Start, span.Start), End: min(s.Window.End, span.End)}
	whole := float64(span.End - span.Start)
	one.From, one.To = float64(window.Start-span.Start)/whole, float64(window.End-span.Start)/whole
	if s.OldestSeen != 0 {
		one.Place = s.OldestSeen.String()
	}
	switch {
	case s.State == shard.Done:
		one.Read = 1
	case s.OldestSeen != 0 && window.End > window.Start:
		one.Read = min(max(float64(window.End-s.OldestSeen)/float64(window.End-window.Start), 0), 1)
	}
	if s.State == shard.Running {
		one.Doing = phases[s.Phase]
	}
	if s.LastCommit != 0 {
		one.Commit = time.Unix(0, s.LastCommit)
	}
	return one
}

// timeSpan returns the span of time that is drawn: that of the round up to the newest event when it began, or from the oldest event to
// the newest if this run has looked for them.
func timeSpan(s *job.Snapshot, shards []coordinator.ShardProgress, now time.Time) shard.Window {
	if r := s.Round; r != nil && r.Span.Start.Finite() && r.Newest > r.Span.Start {
		return shard.Window{Start: r.Span.Start, End: min(r.Span.End, r.Newest.Add(time.Millisecond))}
	}
	if s.Newest > s.Oldest && s.Oldest != 0 && s.Job.Span == ledger.Everything {
		return shard.Window{Start: s.Oldest, End: s.Newest.Add(time.Millisecond)}
	}
	return guessSpan(shards, now)
}

// guessSpan returns the span to draw if it is not known where the events begin and end: windows that are open to the past or the future
// are drawn about as long as the others, and the oldest at least as far as it was read.
func guessSpan(shards []coordinator.ShardProgress, now time.Time) shard.Window {
	inner, oldest := closedSpan(shards)
	if inner.Start > inner.End { // a single window, open to both sides
		end := shard.Instant(now.UnixMicro())
		return shard.Window{Start: min(oldest, end.Add(-time.Hour)), End: end}
	}
	each := max(time.Hour, now.Sub(inner.End.Time()))
	if n := len(shards); n > 2 && inner.End > inner.Start {
		each = inner.End.Sub(inner.Start) / time.Duration(n-2)
	}
	span := inner
	for i := range shards {
		s := &shards[i]
		if !s.Window.End.Finite() {
			span.End = inner.End.Add(each)
		}
		if !s.Window.Start.Finite() && s.State == shard.Done && s.OldestSeen != 0 {
			span.Start = min(span.Start, s.OldestSeen)
		} else if !s.Window.Start.Finite() {
			span.Start = min(inner.Start.Add(-each), oldest)
		}
	}
	return span
}

// closedSpan returns the span between the finite ends of all windows, which is empty if there is none, and the oldest instant that
// was read.
func closedSpan(shards []coordinator.ShardProgress) (inner shard.Window, oldest shard.Instant) {
	inner, oldest = shard.Window{Start: shard.Future, End: shard.Past}, shard.Future
	for i := range shards {
		for _, at := range []shard.Instant{shards[i].Window.Start, shards[i].Window.End} {
			if at.Finite() {
				inner.Start, inner.End = min(inner.Start, at), max(inner.End, at)
			}
		}
		if at := shards[i].OldestSeen; at != 0 && at.Finite() {
			oldest = min(oldest, at)
		}
	}
	return inner, oldest
}
