package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/fetch/datasync"
	"sluice/shard"
	"sluice/shard/failpoint"
	"sluice/sink/audit"
)

var errJobGone = errors.New("the job is gone from ingestion_jobs")

// nextRound goes on with the round that was left, or takes the next one, unless nothing is new.
func (i *ingest) nextRound(ctx context.Context) verdict {
	r, err := i.openRound(ctx)
	if err != nil {
		v := i.faulted(ctx, err)
		v.between = r == nil
		return v
	}
	if r == nil {
		i.noted = i.asked() // by a look that found nothing new
		return verdict{text: "nothing is new: " + i.behind()}
	}
	i.round = r
	if v, over := i.walk(ctx); over {
		return v
	}
	return i.closeRound(ctx)
}

// openRound returns the round to walk; nil: nothing is new.
func (i *ingest) openRound(ctx context.Context) (*ledger.Round, error) {
	last, err := i.db.LastRound(ctx, i.job.ID)
	if err != nil {
		return nil, err
	}
	if last.Number > 1 {
		i.round = last
	}
	i.resumed = last.Number > 1 && last.FinishedAt.IsZero()
	if i.resumed {
		i.log.Info("going on with a round", "round", last.Number, "span", last.Span)
		return last, i.focus(ctx, last.Number)
	}
	latest, err := i.client.Latest(ctx)
	failpoint.Hit("round.looked")
	if err != nil || idle(last, &latest) {
		return nil, err
	}
	return i.beginRound(ctx, last, &latest)
}

// idle tells whether the newest page is that of the last round: as many events, and none newer. What was missing then, and not
// already before, is looked for once more.
func idle(last *ledger.Round, latest *datasync.Latest) bool {
	return !last.FinishedAt.IsZero() && last.MissedNew <= 0 && latest.Total >= 0 && latest.Total == last.APITotal && latest.Newest == last.Newest
}

// beginRound writes down the next round.
func (i *ingest) beginRound(ctx context.Context, last *ledger.Round, latest *datasync.Latest) (*ledger.Round, error) {
	from, err := i.resumeFrom(ctx)
	if err != nil {
		return nil, err
	}
	span := shard.Window{Start: max(i.job.Span.Start, from), End: i.job.Span.End}
	if !from.Finite() {
		span.Start = i.job.Span.Start
	}
	gap := coordinator.Gap{
		Span: span, Lookback: i.lookback, New: -1,
		Page: shard.Sample{From: latest.Oldest, To: latest.Newest, Events: latest.Events},
	}
	if latest.Total >= 0 && last.APITotal > 0 {
		gap.New = max(0, latest.Total-last.APITotal)
	}
	most := i.shards
	if !i.client.Capabilities().Windows() {
		most = 1
	}
	windows := coordinator.PlanRound(gap, most)
	r, err := i.db.BeginRound(ctx, i.job.ID, ledger.Round{
		Span: span, LateBefore: i.job.Watermark, Lookback: i.lookback, Candidate: i.candidate(latest.Newest),
		Newest: latest.Newest, APITotal: max(0, latest.Total),
	}, windows)
	if err != nil {
		return nil, err
	}
	i.log.Debug("a round begins", "round", r.Number, "span", span, "windows", len(windows), "new", gap.New)
	return r, i.reload(ctx)
}

// resumeFrom is where a round begins: the lookback before the watermark. A job that is older than its watermark is read from
// the start of its newest window on: what was there when that was begun, was read.
func (i *ingest) resumeFrom(ctx context.Context) (shard.Instant, error) {
	if i.job.Watermark != 0 {
		return i.job.Watermark.Add(-i.lookback), nil
	}
	from := shard.Past
	checkpoints, err := i.db.Load(ctx, i.job.ID)
	for _, cp := range checkpoints {
		from = max(from, cp.Window.Start)
	}
	return from, err
}

// candidate is the watermark that a round leads to whose first page had that newest event; 0: it had none.
func (i *ingest) candidate(newest shard.Instant) shard.Instant {
	now := time.Now()
	if ahead, known := i.client.ClockOffset(); known {
		now = now.Add(ahead)
	}
	return min(newest, shard.InstantOf(now.Add(-i.safetyLag)), i.settings.span().End)
}

// focus makes a round the one that is worked on.
func (i *ingest) focus(ctx context.Context, round int) error {
	if i.job.Round == round {
		return nil
	}
	if err := i.db.Focus(ctx, i.job.ID, round); err != nil {
		return err
	}
	return i.reload(ctx)
}

// closeRound judges a round by its ledger, moves the watermark, and says what came.
func (i *ingest) closeRound(ctx context.Context) verdict {
	missing, err := i.judgeRound(ctx)
	failpoint.Hit("round.judged")
	if err == nil {
		err = i.db.FinishRound(ctx, i.job.ID, i.round, missing)
	}
	if err == nil {
		err = i.reload(ctx)
	}
	if err != nil {
		return i.faulted(ctx, err)
	}
	if i.round, err = i.db.LastRound(ctx, i.job.ID); err != nil {
		return i.faulted(ctx, err)
	}
	i.warnOfLate()
	return i.sumUp()
}

// judgeRound makes sure that the windows of the round tile it, and returns how many events the source counted at its start that
// nothing accounts for. The table is not read: a commit has counted its rows.
func (i *ingest) judgeRound(ctx context.Context) (missing int64, err error) {
	checkpoints, err := i.db.Load(ctx, i.job.ID)
	if err != nil {
		return 0, err
	}
	if err := audit.Tiled(i.round.Span, checkpoints); err != nil {
		return 0, err
	}
	if i.round.APITotal == 0 || i.job.Span != unbounded {
		return 0, nil
	}
	accounted, err := i.db.Accounted(ctx, i.job.ID)
	return max(0, i.round.APITotal-accounted), err
}

// warnOfLate says so when events come so late that soon the lookback might not reach them.
func (i *ingest) warnOfLate() {
	if r := i.round; r.Late.Most > r.Lookback/2 {
		i.log.Warn("events come late, close to the edge of the lookback: give more of it with --lookback", "late", r.Late.Total(),
			"oldest", r.Late.Most, "lookback", r.Lookback)
	}
}

// sumUp is the verdict on a round that is finished.
func (i *ingest) sumUp() verdict {
	r := i.round
	v := verdict{text: fmt.Sprintf("round %d: %s new events, %s", r.Number, view.Number(r.Counts.Events), i.behind())}
	if r.MissedNew > 0 {
		v.code = exitDoubt
		v.text = fmt.Sprintf("round %d: the source counted %d events more than the ledger accounts for", r.Number, r.Missing)
		v.hint = "the next round looks once more; what came later than --lookback reaches is read by `sluice backfill`"
	}
	i.log.Info("a round is done", "round", r.Number, "new", r.Counts.Events, "late", r.Late.Total(), "missing", r.Missing,
		"watermark", i.job.Watermark)
	return v
}

// behind says how far the watermark is.
func (i *ingest) behind() string {
	if !i.job.Watermark.Finite() || i.job.Watermark == 0 {
		return "no watermark yet"
	}
	return fmt.Sprintf("everything up to %s was read", i.job.Watermark)
}

// faulted judges an error between the walks: what passes by itself is left for the same command, or the next round.
func (i *ingest) faulted(ctx context.Context, err error) verdict {
	var stop *shard.StopError
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errLockLost):
		return verdict{code: exitLocked, text: cause.Error(), final: true}
	case cause != nil:
		return verdict{code: exitLeft, text: cause.Error(), hint: resumeHint}
	case errors.As(err, &stop):
		return verdict{code: exitOf(stop), text: err.Error(), hint: stop.Hint, final: stop.Reason == shard.Refused}
	}
	return verdict{code: exitUnreachable, text: err.Error()}
}

// asked returns how many pages this run has requested.
func (i *ingest) asked() int64 {
	t := i.client.Traffic()
	return t.List + t.Stream
}

// noteRequests adds the requests since the last time to the current round. They are for people: a run does not fail for them.
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
