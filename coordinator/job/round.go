package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/shard/failpoint"
	"sluice/sink/audit"
)

// Sync makes one incremental pass, a round, after finishing what was left unfinished: the first load, or the round before. If
// nothing is new it costs one request.
func (j *Job) Sync(ctx context.Context) Verdict {
	if err := j.prepare(ctx); err != nil {
		return unstarted(ctx, err)
	}
	return j.attend(ctx, func(ctx context.Context) Verdict {
		if !j.job.Verified() {
			if v := j.step(ctx); v.Status != Complete {
				return v
			}
		}
		v := j.step(ctx)
		if j.resumed && !v.final && (v.Status == Complete || v.Status == Doubt) { // if too little was found, the next one looks again
			v = j.step(ctx)
		}
		return v
	})
}

// step does what is next: the first load, or a round.
func (j *Job) step(ctx context.Context) Verdict {
	if j.job.Verified() {
		return j.nextRound(ctx)
	}
	v := j.firstLoad(ctx)
	if v.Status != Complete {
		return v
	}
	if err := j.reload(ctx); err != nil {
		return failed(ctx, err)
	}
	return v
}

// nextRound continues the round that was left, or begins the next one, unless nothing is new.
func (j *Job) nextRound(ctx context.Context) Verdict {
	if err := errors.Join(j.recall(ctx), j.lookAtTable(ctx)); err != nil {
		v := failed(ctx, err)
		v.between = true
		return v
	}
	r, err := j.openRound(ctx)
	if err != nil {
		v := failed(ctx, err)
		v.between = r == nil
		return v
	}
	if r == nil {
		j.noted = j.source.Requests() // those of a look that found nothing new are no round's
		v := j.concede(ctx, Verdict{Status: Complete, Text: "nothing is new: " + j.behind()})
		v.between = true
		return v
	}
	j.note(func() { j.round = r })
	if j.resumed {
		if v, lost := j.lostShards(ctx); lost {
			return v
		}
	}
	if v, over := j.walk(ctx); over {
		return v
	}
	if v, over := j.witnesses(ctx); over {
		return v
	}
	return j.closeRound(ctx)
}

// openRound returns the round to walk, or nil if nothing is new, or if the source is another one.
func (j *Job) openRound(ctx context.Context) (*ledger.Round, error) {
	last, err := j.store.LastRound(ctx, j.job.ID)
	if err != nil {
		return nil, err
	}
	if last.Number > 1 {
		j.note(func() { j.round = last })
	}
	j.resumed = last.Number > 1 && !last.Finished()
	if j.resumed {
		j.config.Log.Info("going on with a round", "round", last.Number, "span", last.Span)
		return last, j.focus(ctx, last.Number)
	}
	latest, err := j.source.Latest(ctx)
	failpoint.Hit("round.looked")
	if err != nil {
		return nil, err
	}
	if other, err := j.stranger(ctx); other || err != nil {
		return nil, err
	}
	if other, err := j.lookAtNewest(ctx, &latest); other || err != nil {
		return nil, err
	}
	if idle(last, &latest) {
		told, err := j.tells(ctx, latest.Total)
		if err == nil && told {
			told, err = j.hasAll(ctx, latest.Keys)
		}
		if err != nil || told {
			return nil, err
		}
	}
	return j.beginRound(ctx, last, &latest)
}

// tells reports whether a total would show an event that comes late, and so is not on the newest page: it counts what the job reads, and
// no fewer events than are stored.
func (j *Job) tells(ctx context.Context, total int64) (bool, error) {
	if missing, _ := j.rereadings(); missing != nil || !trustsTotal(&j.config, j.doubts) || j.job.Span != ledger.Everything {
		return false, nil
	}
	checkpoints, err := j.store.Load(ctx, j.job.ID)
	if err != nil {
		return false, err
	}
	sum, err := j.store.Earlier(ctx, j.job.ID)
	for i := range checkpoints {
		sum = sum.Add(checkpoints[i].Counts)
	}
	return sum.Events+sum.DeadLetters <= total, err
}

// idle reports whether the newest page is that of the last round: as many events, and none newer. One on which no event can be read
// tells nothing, because the number may be a wrong one that stays the same.
func idle(last *ledger.Round, latest *shard.Latest) bool {
	return last.Finished() && (latest.Newest != 0 || latest.Total == 0) && latest.Total >= 0 && latest.Total == last.APITotal && latest.Newest == last.Newest
}

// hasAll reports whether the table has all events of a page that the job reads. A source may forget as many events as come late: then
// its total tells nothing.
func (j *Job) hasAll(ctx context.Context, page []shard.Key) (bool, error) {
	ids := make([]uuid.UUID, 0, len(page))
	for _, k := range page {
		if j.job.Span.Contains(k.At) {
			ids = append(ids, k.ID)
		}
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	known, err := j.store.Known(ctx, ids)
	return len(known) == len(ids), err
}

// beginRound writes down the next round.
func (j *Job) beginRound(ctx context.Context, last *ledger.Round, latest *shard.Latest) (*ledger.Round, error) {
	from, err := j.resumeFrom(ctx)
	if err != nil {
		return nil, err
	}
	span := shard.Window{Start: max(j.job.Span.Start, from), End: j.job.Span.End}
	if !from.Finite() {
		span.Start = j.job.Span.Start
	}
	gap := coordinator.Gap{
		Span: span, Lookback: j.config.Lookback, New: -1,
		Page: shard.Sample{From: latest.Oldest, To: latest.Newest, Events: latest.Events},
	}
	if latest.Total >= 0 && last.APITotal > 0 {
		gap.New = max(0, latest.Total-last.APITotal)
	}
	shards := j.config.Shards
	if !j.source.Windows() {
		shards = 1
	}
	windows := coordinator.PlanRound(gap, shards)
	r, err := j.store.BeginRound(ctx, j.job.ID, ledger.Round{
		Span: span, LateBefore: j.job.Watermark, Lookback: j.config.Lookback, Candidate: j.candidate(latest.Newest),
		Newest: latest.Newest, APITotal: max(0, latest.Total),
	}, windows)
	if err != nil {
		return nil, err
	}
	j.config.Log.Debug("a round begins", "round", r.Number, "span", span, "windows", len(windows), "new", gap.New)
	return r, j.reload(ctx)
}

// resumeFrom is where a round begins: the lookback before the watermark. A job that is older than its watermark is read from
// the start of its newest window on: what was there when that was begun was read.
func (j *Job) resumeFrom(ctx context.Context) (shard.Instant, error) {
	if j.job.Watermark != 0 {
		return j.job.Watermark.Add(-j.config.Lookback), nil
	}
	from := shard.Past
	checkpoints, err := j.store.Load(ctx, j.job.ID)
	for i := range checkpoints {
		from = max(from, checkpoints[i].Window.Start)
	}
	return from, err
}

// candidate is the watermark that a round leads to whose first page had that newest event; 0 means that it had none.
func (j *Job) candidate(newest shard.Instant) shard.Instant {
	now := time.Now()
	if ahead, known := j.source.ClockOffset(); known {
		now = now.Add(ahead)
	}
	return min(newest, shard.InstantOf(now.Add(-j.config.SafetyLag)), j.config.Span.End)
}

// lostShards reports whether the ledger has lost shards of the round. No round would find them again: that takes a repair.
func (j *Job) lostShards(ctx context.Context) (v Verdict, lost bool) {
	all, err := j.store.Load(ctx, j.job.ID)
	if err != nil {
		return failed(ctx, err), true
	}
	gap := audit.Whole(j.round.Number, j.round.Span, all)
	if gap == nil {
		return Verdict{}, false
	}
	v = j.ended(ctx, j.raise(ctx, ledger.Doubt{Kind: ledger.DoubtTable, Reason: gap.Error()}))
	v.final = v.final || v.Status == Doubt
	return v, true
}

// closeRound judges a round by its ledger, moves the watermark, and sums up what came.
func (j *Job) closeRound(ctx context.Context) Verdict {
	if v, lost := j.lostShards(ctx); lost {
		return v
	}
	missing, err := j.judgeRound(ctx)
	failpoint.Hit("round.judged")
	if err == nil {
		err = j.store.FinishRound(ctx, j.job.ID, j.round, missing)
	}
	if err == nil {
		err = j.reload(ctx)
	}
	if err != nil {
		return failed(ctx, err)
	}
	r, err := j.store.LastRound(ctx, j.job.ID)
	if err != nil {
		return failed(ctx, err)
	}
	j.note(func() { j.round = r })
	if r.Late.Most > r.Lookback/2 {
		j.config.Log.Warn("events come late, close to the edge of the lookback: a longer one finds more of them", "late", r.Late.Total(),
			"oldest", r.Late.Most, "lookback", r.Lookback)
	}
	j.config.Log.Info("a round is done", "round", r.Number, "new", r.Counts.Events, "late", r.Late.Total(), "missing", r.Missing,
		"watermark", j.job.Watermark)
	return j.concede(ctx, Verdict{Status: Complete, Text: fmt.Sprintf("round %d: %s new events, %s", r.Number, number(r.Counts.Events), j.behind())})
}

// number writes n with commas.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// judgeRound returns how many events the source counted at its start that
// nothing accounts for: that is a doubt. The table is not read: every commit has counted its rows.
func (j *Job) judgeRound(ctx context.Context) (missing int64, err error) {
	if !trustsTotal(&j.config, j.doubts) || j.round.APITotal == 0 || j.job.Span != ledger.Everything {
		return 0, nil
	}
	accounted, err := j.store.Accounted(ctx, j.job.ID)
	missing = j.round.APITotal - accounted
	switch {
	case err != nil:
		return 0, err
	case missing > 0:
		return missing, j.raise(ctx, j.shortage(missing, rereading{}))
	}
	return 0, j.lift(ctx, ledger.DoubtMissing, ledger.ByEvidence)
}

// behind says how far the watermark is.
func (j *Job) behind() string {
	if !j.job.Watermark.Finite() || j.job.Watermark == 0 {
		return "no watermark yet"
	}
	return fmt.Sprintf("everything up to %s was read", j.job.Watermark)
}
