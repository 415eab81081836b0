package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/shard/failpoint"
	"sluice/sink/audit"
)

// Load ingests everything that is unfinished of the first load, and checks it. If that was done before, it says so without a
// request, unless the table has changed since.
func (j *Job) Load(ctx context.Context) Verdict {
	if j.job != nil && j.job.Verified() {
		return j.loaded(ctx)
	}
	if err := j.prepare(ctx); err != nil {
		return unstarted(ctx, err)
	}
	return j.attend(ctx, j.firstLoad)
}

// loaded is the verdict on a first load that was verified before.
func (j *Job) loaded(ctx context.Context) Verdict {
	if err := errors.Join(j.countBefore(ctx), j.recall(ctx), j.lookAtTable(ctx)); err != nil {
		return unstarted(ctx, err)
	}
	if ledger.OpenDoubt(j.doubts, ledger.DoubtSource) != nil {
		if err := j.prepare(ctx); err != nil {
			return unstarted(ctx, err)
		}
		return j.attend(ctx, j.lookAgain)
	}
	return j.conclude(ctx, j.concede(ctx, Verdict{Status: Complete, Text: j.wasVerified()}))
}

func (j *Job) wasVerified() string {
	return fmt.Sprintf("job %q was complete and verified on %s", j.job.Name, j.job.VerifiedAt.UTC().Format(time.RFC3339))
}

// lookAgain is the verdict on a first load that was verified before the source was another one, which may be over.
func (j *Job) lookAgain(ctx context.Context) Verdict {
	other, err := j.stranger(ctx)
	if err == nil && !other {
		err = j.reload(ctx)
	}
	switch {
	case err != nil:
		return failed(ctx, err)
	case other || j.job.Verified():
		return j.concede(ctx, Verdict{Status: Complete, Text: j.wasVerified()})
	}
	return j.firstLoad(ctx)
}

// Backfill is Load; again reads the span once more if that is done.
func (j *Job) Backfill(ctx context.Context, again bool) Verdict {
	if again && j.job != nil && j.job.Verified() {
		err := j.readDoubts(ctx)
		if err == nil {
			err = j.reopenAll(ctx)
		}
		if err != nil {
			return unstarted(ctx, err)
		}
	}
	return j.Load(ctx)
}

// reopenAll makes all windows of the first load unfinished, whatever rounds followed it.
func (j *Job) reopenAll(ctx context.Context) error {
	if err := j.focus(ctx, 1); err != nil {
		return err
	}
	read, err := j.store.Load(ctx, j.job.ID)
	if err != nil {
		return err
	}
	if err := j.store.SetVerdict(ctx, j.job.ID, "read once more", false); err != nil {
		return err
	}
	all := func(a *ledger.Audit) (ids []int64) {
		for i := range a.Windows {
			ids = append(ids, a.Windows[i].ID)
		}
		return ids
	}
	if err := j.reopen(ctx, all); err != nil {
		return err
	}
	if err := j.noteRereading(ctx, oldestRead(read)); err != nil {
		return err
	}
	return j.reload(ctx)
}

// reopen makes shards of the current round suspect, so that they are walked once more. which is given the figures of the same moment.
func (j *Job) reopen(ctx context.Context, which func(*ledger.Audit) []int64) error {
	return j.store.Reopen(ctx, j.job.ID, func(a ledger.Audit) ledger.Reopening {
		if j.job.Round > 1 {
			return audit.Again(&a, which(&a))
		}
		return audit.Recount(&a, which(&a))
	})
}

// firstLoad walks what is left of round 1, whatever rounds follow it, and checks the whole job.
func (j *Job) firstLoad(ctx context.Context) Verdict {
	j.note(func() { j.round = nil })
	if err := errors.Join(j.focus(ctx, 1), j.recall(ctx), j.fillGaps(ctx)); err != nil {
		return failed(ctx, err)
	}
	if other, err := j.resumesElsewhere(ctx); other || err != nil {
		return j.ended(ctx, err)
	}
	if err := j.rereadForTotal(ctx); err != nil {
		return failed(ctx, err)
	}
	v := j.walkAndCheck(ctx)
	var doubts *DoubtError
	v.final = v.final || v.Status == Doubt && !errors.As(v.Err, &doubts)
	return v
}

// fillGaps makes up for shards that the ledger has lost: their windows are walked.
func (j *Job) fillGaps(ctx context.Context) error {
	all, err := j.store.Load(ctx, j.job.ID)
	if err != nil {
		return err
	}
	gap := audit.Whole(1, j.job.Span, all)
	if gap == nil {
		return nil
	}
	j.config.Log.Warn("the ledger has lost shards: their windows are fetched again", "why", gap)
	return j.reopen(ctx, func(*ledger.Audit) []int64 { return nil })
}

// resumesElsewhere reports whether the source is not the one that the first load has read so far.
func (j *Job) resumesElsewhere(ctx context.Context) (bool, error) {
	if other, err := j.stranger(ctx); other || err != nil {
		return other, err
	}
	all, err := j.store.Load(ctx, j.job.ID)
	if err != nil {
		return false, err
	}
	var sum shard.Counts
	for i := range all {
		sum = sum.Add(all[i].Counts)
	}
	if sum.DeadLetters > j.tolerate(sum.Received) {
		return false, nil // the walk ends before it asks for a page
	}
	return j.lookAtSource(ctx, all, false)
}

// ended is the verdict on a step that an error ends, or a doubt.
func (j *Job) ended(ctx context.Context, err error) Verdict {
	if err != nil {
		return failed(ctx, err)
	}
	return j.concede(ctx, Verdict{Status: Complete})
}

// walkAndCheck walks the shards and checks the result; incomplete windows are walked once more.
func (j *Job) walkAndCheck(ctx context.Context) Verdict {
	for again := false; ; again = true {
		if v, over := j.walk(ctx); over {
			return v
		}
		if v, over := j.witnesses(ctx); over {
			return v
		}
		v, suspects := j.check(ctx)
		if v.Status == Complete || again || len(suspects) == 0 {
			return v
		}
		j.config.Log.Warn("the check found less than the source has: incomplete windows are fetched again", "shards", len(suspects),
			"findings", v.Findings)
		if err := j.reopen(ctx, func(*ledger.Audit) []int64 { return suspects }); err != nil {
			return notChecked(ctx, err)
		}
		failpoint.Hit("windows.reopened")
	}
}

// walk runs the coordinator over all unfinished shards; over reports that the run ends here, with the verdict.
func (j *Job) walk(ctx context.Context) (v Verdict, over bool) {
	var lateBefore shard.Instant
	if j.round != nil {
		lateBefore = j.round.LateBefore
	}
	shards := j.store.Shards(j.job.ID, lateBefore)
	checkpoints, err := shards.Load(ctx)
	if err != nil {
		return failed(ctx, err), true
	}
	c, err := coordinator.New(coordinator.Config{
		Fetchers: j.config.Fetchers, Memory: j.config.Memory, PageBytes: j.source.PageBytes(), Limits: j.config.Limits,
		GiveUpAfter: j.config.GiveUpAfter, Drain: j.config.Drain, MaxDeadLetters: j.tolerate, Sequential: !j.source.Windows(), Oldest: j.job.Oldest,
		Pause: j.config.Pause, DescribePhase: j.config.Hooks.DescribePhase, Seed: j.config.Seed, Log: j.config.Log,
	}, j.source, shards, checkpoints)
	if err != nil {
		return Verdict{Status: Misused, Text: err.Error(), Err: err, final: true}, true
	}
	j.note(func() { j.walking = c })
	walked := func() {}
	if hook := j.config.Hooks.Walk; hook != nil {
		walked = hook(ctx)
	}
	outcome, err := c.Run(ctx)
	j.note(func() { j.spent = addSpent(j.spent, outcome.Fetchers) })
	walked()
	j.noteRequests(ctx)
	if err != nil {
		return failed(ctx, err), true
	}
	return judge(outcome)
}

// tolerate is how many of the received records may be dead letters.
func (j *Job) tolerate(received int64) int64 {
	if n := j.config.MaxDeadLetters; n > 0 {
		return n
	}
	return max(100, received/100)
}

// addSpent adds what the fetchers of another walk did.
func addSpent(a, b []shard.Spent) []shard.Spent {
	if len(a) < len(b) {
		a, b = b, a
	}
	sum := append([]shard.Spent(nil), a...)
	for n := range b {
		sum[n] = sum[n].Add(b[n])
	}
	return sum
}

// noteRequests adds the requests since the last time to the current round. They are for people: a run does not fail for them.
func (j *Job) noteRequests(ctx context.Context) {
	ctx, cancel := lastWrite(ctx)
	defer cancel()
	asked := j.source.Requests()
	if asked == j.noted {
		return
	}
	if err := j.store.NoteRequests(ctx, j.job.ID, j.job.Round, asked-j.noted); err != nil {
		j.config.Log.Debug("the requests of the round are not noted", "err", err)
		return
	}
	j.noted = asked
}

// judge decides whether a walk is the end of the run, and with which verdict.
func judge(o coordinator.Outcome) (v Verdict, over bool) {
	var stop *shard.StopError
	switch cause := o.Cause; {
	case errors.As(cause, &stop):
		status := stopStatus(stop)
		return Verdict{Status: status, Text: cause.Error(), Hint: stop.Hint, Err: cause, final: status == Refused}, true
	case errors.Is(cause, coordinator.ErrTooManyDeadLetters):
		return Verdict{Status: Doubt, Text: cause.Error(), Err: cause, final: true}, true
	case errors.Is(cause, ErrLockLost):
		return Verdict{Status: Locked, Text: cause.Error(), Err: cause, final: true}, true
	case cause != nil:
		return Verdict{Status: Left, Text: fmt.Sprintf("%s: %d shards are left", cause, o.Left+len(o.Failures)), Err: cause}, true
	case len(o.Failures) > 0:
		return judgeFailures(o.Failures), true
	}
	return Verdict{}, false
}

// judgeFailures names the windows that are missing. A panic is a bug.
func judgeFailures(failures []coordinator.Failure) Verdict {
	v := Verdict{Status: Left, Text: fmt.Sprintf("%d shards failed: their windows are incomplete", len(failures))}
	for _, f := range failures {
		v.Findings = append(v.Findings, fmt.Sprintf("shard %d %s: %v", f.Shard, f.Window, f.Err))
		var panicked *coordinator.PanicError
		if v.Err == nil || errors.As(f.Err, &panicked) {
			v.Err = f.Err
		}
		if panicked != nil {
			v.Status, v.final = Broken, true
		}
	}
	if unfit, ok := errors.AsType[*ledger.UnfitError](v.Err); ok && v.Status == Left {
		v.final = true // no round would find it otherwise
		if unfit.Changed {
			v.Status, v.Text, v.Err = Doubt, unfit.Error(), &explained{unfit.Error(), ErrTables}
		}
	}
	return v
}

// check compares table, ledger and source, records the result, and names the shards to walk once more.
func (j *Job) check(ctx context.Context) (Verdict, []int64) {
	findings, err := j.store.Examine(ctx)
	if err != nil {
		return notChecked(ctx, err), nil
	}
	if f, unfit := firstUnfit(findings); unfit {
		text := fmt.Sprintf("the check failed: the database was changed during the run: %s: %s", f.Name, f.Detail)
		return Verdict{Status: Doubt, Text: text, Hint: "fix it, rows written since may be spoiled: " + f.Hint, Err: &explained{text, ErrTables}}, nil
	}
	table, _, err := j.store.TableState(ctx, j.job.ID) // before the rows are counted: whatever changes then is looked at
	if err != nil {
		return notChecked(ctx, err), nil
	}
	figures, err := j.store.Audit(ctx, j.job.ID)
	if err != nil {
		return notChecked(ctx, err), nil
	}
	failpoint.Hit("windows.compared")
	if other, err := j.mixed(ctx, &figures); other || err != nil {
		return j.ended(ctx, err), nil
	}
	atEnd, err := j.totalNow(ctx)
	if err != nil {
		j.config.Log.Warn("the source did not say how many events it has now", "err", err)
	}
	judged, err := j.weigh(ctx, &figures, atEnd)
	if err != nil {
		return notChecked(ctx, err), nil
	}
	for _, why := range judged.NotApplied {
		j.config.Log.Info("not checked", "why", why)
	}
	return j.record(ctx, judged, table, figures.Windows), judged.Reopen
}

// mixed reports whether the windows are those of several sources. They are all read once more when the source is back.
func (j *Job) mixed(ctx context.Context, figures *ledger.Audit) (bool, error) {
	stored := *figures
	stored.Unmet = nil                 // those of another source are
	if !audit.Judge(stored, 0, 0).OK { // rows that are gone tell nothing about the source
		return false, nil
	}
	return j.lookAtSource(ctx, windowsOf(figures), true)
}

// record keeps the result of a check. The job is verified if nothing is in doubt.
func (j *Job) record(ctx context.Context, judged audit.Verdict, table string, rows []ledger.AuditWindow) Verdict {
	err := j.weighTable(ctx, judged, "")
	if judged.OK && err == nil {
		err = j.asCompared(ctx, rows)
	}
	if judged.OK && err == nil {
		err = j.store.KeepTableState(ctx, j.job.ID, table, rows)
	}
	if err != nil {
		return notChecked(ctx, err)
	}
	v := j.concede(ctx, Verdict{Status: Complete, Text: judged.Summary()})
	if v.Status == Doubt && !judged.OK && !onlyMissing(judged) {
		v.Text, v.Findings = "the check failed: "+judged.Summary(), judged.Findings
	}
	if err := j.store.SetVerdict(ctx, j.job.ID, cmp.Or(v.Text, judged.Summary()), v.Status == Complete); err != nil {
		return notChecked(ctx, err)
	}
	failpoint.Hit("verdict.written")
	return v
}

// asCompared makes sure that the ledger is still the one that was compared: a failover since then may have taken both back in time.
func (j *Job) asCompared(ctx context.Context, rows []ledger.AuditWindow) error {
	now, err := j.store.Load(ctx, j.job.ID)
	if err != nil {
		return err
	}
	same := func(c shard.Checkpoint, w ledger.AuditWindow) bool {
		return c.ID == w.ID && c.Seq == w.Seq && c.State == w.State
	}
	if !slices.EqualFunc(now, rows, same) {
		return errors.New("the database went back in time meanwhile")
	}
	return nil
}

// notChecked is the verdict if everything was read, but a stop or the database kept the check from being made. That is left to do.
func notChecked(ctx context.Context, err error) Verdict {
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.As(err, new(*ledger.UnfitError)):
		return failed(ctx, err)
	}
	return Verdict{
		Status: Left, Text: "all shards are done, but the check could not be made: " + err.Error(),
		Err: fmt.Errorf("%w: %w", ErrUnchecked, err),
	}
}

// totalNow returns how many events the source has by its last answer; a run that asked nothing asks once.
func (j *Job) totalNow(ctx context.Context) (int64, error) {
	if n, ok := j.source.Total(); ok {
		return n, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("no answer about the total within 2 minutes"))
	defer cancel()
	return j.source.AskTotal(ctx)
}
