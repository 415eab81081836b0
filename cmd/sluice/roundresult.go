package main

import (
	"context"
	"fmt"
	"time"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/ledger"
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
		Watermark: view.PointInTime(i.job.Watermark),
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
