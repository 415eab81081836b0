package main

import (
	"fmt"
	"time"

	"sluice/cmd/sluice/internal/live"
	"sluice/cmd/sluice/internal/terminal"
	"sluice/shard"
	"sluice/sink"
)

// round is what `sluice sync --json` prints of the last round.
type round struct {
	Number    int        `json:"number"`
	Start     string     `json:"start"`
	New       int64      `json:"new_events"`
	Late      sink.Late  `json:"late"`
	Missing   int64      `json:"missing"`
	Watermark *time.Time `json:"watermark,omitempty"`
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
	text := fmt.Sprintf("round %d from %s: %s new events", r.Number, r.Start, terminal.Number(r.New))
	if n := r.Late.Total(); n > 0 {
		text += fmt.Sprintf(", %s of them late, the oldest by %s", terminal.Number(n), terminal.Short(r.Late.Most))
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

// seenRound puts the round and the watermark of a job that has more than its first load into what others see.
func (i *ingest) seenRound(v *live.View) {
	if i.job == nil || i.job.Round == 1 && i.every == 0 {
		return
	}
	v.Round, v.Watermark = i.job.Round, pointInTime(i.job.Watermark)
	if i.round != nil {
		v.Late = i.round.Late.Total()
	}
}
