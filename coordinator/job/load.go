package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/shard/failpoint"
	"sluice/sink/audit"
)

// Load ingests everything that is unfinished of the first load, and checks it. If that was done before, it says so without a
// request.
func (j *Job) Load(ctx context.Context) Verdict {
	if j.job != nil && j.job.Verified() {
		if err := j.countBefore(ctx); err != nil {
			return unstarted(ctx, err)
		}
		return j.conclude(ctx, Verdict{
			Text: fmt.Sprintf("job %q was complete and verified on %s", j.job.Name, j.job.VerifiedAt.UTC().Format(time.RFC3339)),
		})
	}
	if err := j.prepare(ctx); err != nil {
		return unstarted(ctx, err)
	}
	return j.attend(ctx, j.firstLoad)
}

// Backfill is Load; again reads the span once more if that is done.
func (j *Job) Backfill(ctx context.Context, again bool) Verdict {
	if again && j.job != nil && j.job.Verified() {
		if err := j.reopenAll(ctx); err != nil {
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
	checkpoints, err := j.store.Load(ctx, j.job.ID)
	if err != nil {
		return err
	}
	all := make([]ledger.Reopening, len(checkpoints))
	for i := range checkpoints {
		all[i].ID = checkpoints[i].ID
	}
	if err := j.store.SetVerdict(ctx, j.job.ID, "read once more", false); err != nil {
		return err
	}
	if err := j.store.Reopen(ctx, all); err != nil {
		return err
	}
	return j.reload(ctx)
}

// firstLoad walks what is left of round 1, whatever rounds follow it, and checks the whole job.
func (j *Job) firstLoad(ctx context.Context) Verdict {
	j.note(func() { j.round = nil })
	if err := j.focus(ctx, 1); err != nil {
		return failed(ctx, err)
	}
	v := j.walkAndCheck(ctx)
	v.final = v.final || v.Status == Doubt
	return v
}

// walkAndCheck walks the shards and checks the result; incomplete windows are walked once more.
func (j *Job) walkAndCheck(ctx context.Context) Verdict {
	for again := false; ; again = true {
		if v, over := j.walk(ctx); over {
			return v
		}
		v, suspects := j.check(ctx)
		if v.Status == Complete || again || len(suspects) == 0 {
			return v
		}
		j.config.Log.Warn("the check found less than the source has: incomplete windows are fetched again", "shards", len(suspects),
			"findings", v.Findings)
		if err := j.store.Reopen(ctx, suspects); err != nil {
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
		Fetchers: j.config.Fetchers, Memory: j.config.Memory, Limits: j.config.Limits, GiveUpAfter: j.config.GiveUpAfter,
		Drain: j.config.Drain, MaxDeadLetters: j.tolerate, Sequential: !j.source.Windows(), Oldest: j.job.Oldest,
		Pause: j.config.Pause, DescribePhase: j.config.Hooks.DescribePhase, Seed: j.config.Seed, Log: j.config.Log,
	}, j.source, shards, checkpoints)
	if err != nil {
		return Verdict{Status: Misused, Text: err.Error(), Err: err, final: true}, true
	}
	j.note(func() { j.phase, j.walking = Walking, c })
	walked := func() {}
	if hook := j.config.Hooks.Walk; hook != nil {
		walked = hook(ctx)
	}
	outcome, err := c.Run(ctx)
	j.note(func() { j.phase, j.spent = Checking, addSpent(j.spent, outcome.Fetchers) })
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
	if unfit := new(ledger.UnfitError); v.Status == Left && errors.As(v.Err, &unfit) {
		v.Status, v.Text, v.final = Misused, unfit.Error(), true
	}
	return v
}

// check compares table, ledger and source, records the result, and names the shards to walk once more.
func (j *Job) check(ctx context.Context) (Verdict, []ledger.Reopening) {
	findings, err := j.store.Examine(ctx)
	if err != nil {
		return notChecked(ctx, err), nil
	}
	if f, unfit := firstUnfit(findings); unfit {
		text := fmt.Sprintf("the check failed: the database was changed during the run: %s: %s", f.Name, f.Detail)
		return Verdict{Status: Doubt, Text: text, Hint: "fix it, rows written since may be spoiled: " + f.Hint, Err: &explained{text, ErrTables}}, nil
	}
	figures, err := j.store.Audit(ctx, j.job.ID)
	if err != nil {
		return notChecked(ctx, err), nil
	}
	failpoint.Hit("windows.compared")
	atEnd, err := j.totalNow(ctx)
	if err != nil {
		j.config.Log.Warn("the source did not say how many events it has now", "err", err)
	}
	judged := audit.Judge(figures, j.job.APITotal, atEnd)
	for _, why := range judged.NotApplied {
		j.config.Log.Info("not checked", "why", why)
	}
	if err := j.store.SetVerdict(ctx, j.job.ID, judged.Summary(), judged.OK); err != nil {
		return notChecked(ctx, err), nil
	}
	failpoint.Hit("verdict.written")
	if judged.OK {
		return Verdict{Text: judged.Summary(), Findings: judged.Findings}, nil
	}
	text := "the check failed: " + judged.Summary()
	return Verdict{Status: Doubt, Text: text, Findings: judged.Findings, Err: &explained{text, ErrCheck}}, judged.Reopen
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
