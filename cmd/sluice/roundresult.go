package main

import (
	"context"
	"fmt"
	"time"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/ledger"
	"sluice/shard"
)

// round is what `sluice sync --json` prints of the last round.
type round struct {
	Number    int         `json:"number"`
	Start     string      `json:"start"`
	New       int64       `json:"new_events"`
	Late      ledger.Late `json:"late"`
	Missing   int64       `json:"missing"`
	Watermark *time.Time  `json:"watermark,omitempty"`
}

// describeRound returns the last round after the first; nil: there was none.
func (i *ingest) describeRound() *round {
	r := i.round
	if r == nil {
		return nil
	}
	return &round{
		Number: r.Number, Start: r.Span.Start.String(), New: r.Counts.Events, Late: r.Late, Missing: r.Missing,
		Watermark: pointInTime(i.job.Watermark),
	}
}

func (r *round) String() string {
	text := fmt.Sprintf("round %d from %s: %s new events", r.Number, r.Start, view.Number(r.New))
	if n := r.Late.Total(); n > 0 {
		text += fmt.Sprintf(", %s of them late, the oldest by %s", view.Number(n), view.Short(r.Late.Most))
	}
	if r.Watermark != nil {
		text += fmt.Sprintf("; watermark %s", r.Watermark.Format(time.RFC3339Nano))
	}
	return text
}

// pointInTime is nil for an instant that is none.
func pointInTime(at shard.Instant) *time.Time {
	if !at.Finite() || at == 0 {
		return nil
	}
	t := at.Time()
	return &t
}

// asked is how many pages this run has asked for.
func (i *ingest) asked() int64 {
	t := i.client.Traffic()
	return t.List + t.Stream
}

// noteRequests adds what was asked since the last time to the round that is worked on. It is for people: a run does not fail
// for it.
func (i *ingest) noteRequests(ctx context.Context) {
	ctx, cancel := lastWrite(ctx)
	defer cancel()
	asked := i.asked()
	if asked == i.noted {
		return
	}
	if err := i.db.NoteRequests(ctx, i.job.ID, i.job.Round, asked-i.noted); err != nil {
		i.log.Debug("the requests of the round are not noted", "err", err)
		return
	}
	i.noted = asked
}

// roundsOf is rounds as others see them.
func roundsOf(rounds []*ledger.Round) (all []view.Round) {
	for _, r := range rounds {
		one := view.Round{
			Number: r.Number, Began: r.StartedAt, From: r.Span.Start.String(), To: r.Newest.String(), Events: r.Counts.Events,
			Late: r.Late.Total(), Missing: r.Missing, Requests: r.Requests, Watermark: pointInTime(r.Candidate),
		}
		if !r.FinishedAt.IsZero() {
			one.Finished = &r.FinishedAt
		}
		if r.Newest == 0 {
			one.To = ""
		}
		all = append(all, one)
	}
	return all
}

// seenRound puts the round and the watermark of a job that has more than its first load into what others see.
func (i *ingest) seenRound(v *view.View) {
	if i.job == nil || i.job.Round == 1 && i.every == 0 {
		return
	}
	v.Round, v.Watermark = i.job.Round, pointInTime(i.job.Watermark)
	if i.round != nil {
		v.Late = i.round.Late.Total()
	}
}
