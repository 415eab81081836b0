package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// verdict is how a run ended.
type verdict struct {
	code     int
	text     string
	hint     string
	findings []string // of the check
	final    bool     // no round would mend it: a follow ends with it
	between  bool     // it was stopped with nothing begun
}

// work walks what is unfinished, checks, and walks suspects once more.
func (i *ingest) work(ctx context.Context) error { return i.attend(ctx, i.firstLoad) }

// attend does the work of a job while its lock and the quotas are kept, and says how it went.
func (i *ingest) attend(ctx context.Context, work func(context.Context) verdict) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if err := i.countBefore(ctx); err != nil {
		return asStart(ctx, err)
	}
	beside := i.beside(ctx, stop)
	v := work(ctx)
	stop(nil)
	beside.Wait()
	return i.conclude(context.WithoutCancel(ctx), v)
}

// countBefore notes what the job has stored already.
func (i *ingest) countBefore(ctx context.Context) error {
	checkpoints, err := i.db.Load(ctx, i.job.ID)
	if err != nil {
		return err
	}
	if i.earlier, err = i.db.Earlier(ctx, i.job.ID); err != nil {
		return err
	}
	i.before = i.earlier.Events
	for _, cp := range checkpoints {
		i.before += cp.Counts.Events
	}
	return nil
}

// firstLoad walks what is left of round 1, whatever rounds follow it, and checks the whole job.
func (i *ingest) firstLoad(ctx context.Context) verdict {
	i.round = nil
	if err := i.focus(ctx, 1); err != nil {
		return i.faulted(ctx, err)
	}
	v := i.walkAndCheck(ctx)
	v.final = v.final || v.code == exitDoubt
	return v
}

// errLockLost: the session that holds the job's lock is gone, and another run has it.
var errLockLost = errors.New("the job's lock was lost to another run")

// beside starts what goes on beside the shards: keeping the lock, and the quotas.
func (i *ingest) beside(ctx context.Context, stop context.CancelCauseFunc) *sync.WaitGroup {
	var beside sync.WaitGroup
	beside.Go(i.guarded(func() {
		err := i.lock.Watch(ctx)
		if errors.Is(err, ledger.ErrLocked) {
			err = fmt.Errorf("%w: %w", errLockLost, err)
		}
		if err != nil {
			stop(err)
		}
	}))
	beside.Go(i.guarded(func() { i.keepQuotas(ctx) }))
	return &beside
}

// walkAndCheck runs the shards and judges the result; shards that fall short are walked once more.
func (i *ingest) walkAndCheck(ctx context.Context) verdict {
	for again := false; ; again = true {
		if v, over := i.walk(ctx); over {
			return v
		}
		v, suspects := i.check(ctx)
		if v.code == exitOK || again || len(suspects) == 0 {
			return v
		}
		i.log.Warn("the check found less than the source has: the windows are walked once more", "shards", len(suspects),
			"findings", v.findings)
		if err := i.db.Reopen(ctx, suspects); err != nil {
			return notChecked(ctx, err)
		}
		failpoint.Hit("windows.reopened")
	}
}

// walk runs the coordinator over all unfinished shards; over says that the run ends here, for the reason in the verdict.
func (i *ingest) walk(ctx context.Context) (verdict, bool) {
	var lateBefore shard.Instant
	if i.round != nil {
		lateBefore = i.round.LateBefore
	}
	store := i.db.Shards(i.job.ID, lateBefore)
	checkpoints, err := store.Load(ctx)
	if err != nil {
		return verdict{code: exitUnreachable, text: err.Error()}, true
	}
	c, err := coordinator.New(coordinator.Config{
		Fetchers: i.fetchers, Memory: int64(i.memory),
		Limits:      shard.Limits{QueuePages: i.queuePages, BatchRows: i.batchRows},
		GiveUpAfter: i.giveUpAfter, MaxDeadLetters: i.tolerate,
		Sequential: !i.client.Capabilities().Windows(), Oldest: i.job.Oldest, Pause: i.pause, DescribePhase: i.waits, Log: i.log,
	}, i.client, store, checkpoints)
	if err != nil {
		return verdict{code: exitUsage, text: err.Error(), final: true}, true
	}
	finish, unpublish := i.show(ctx, c), i.publish(ctx, c)
	i.outcome, err = c.Run(ctx)
	finish()
	unpublish()
	i.spent = addSpent(i.spent, i.outcome.Fetchers)
	i.noteRequests(ctx)
	if err != nil {
		return verdict{code: exitUnreachable, text: err.Error()}, true
	}
	return i.judge(i.outcome)
}

// tolerate is the budget of dead letters: 100, or one in a hundred.
func (i *ingest) tolerate(received int64) int64 {
	if i.maxDeadLetters > 0 {
		return i.maxDeadLetters
	}
	return max(100, received/100)
}

// judge says whether a run over the shards is the end, and with which exit code.
func (i *ingest) judge(o coordinator.Outcome) (verdict, bool) {
	var stop *shard.StopError
	left := fmt.Sprintf("%d shards are left", o.Left+len(o.Failures))
	switch cause := o.Cause; {
	case errors.As(cause, &stop):
		return verdict{code: exitOf(stop), text: cause.Error(), hint: stop.Hint, final: stop.Reason == shard.Refused}, true
	case errors.Is(cause, coordinator.ErrTooManyDeadLetters):
		return verdict{code: exitDoubt, text: cause.Error(), final: true,
			hint: "look at `sluice dead-letters list`; `sluice dead-letters replay` tries them again, --max-dead-letters allows more; then " + resumeHint}, true
	case errors.Is(cause, errLockLost):
		return verdict{code: exitLocked, text: cause.Error(), final: true}, true
	case cause != nil:
		return verdict{code: exitLeft, text: fmt.Sprintf("%s: %s", cause, left), hint: resumeHint}, true
	case len(o.Failures) > 0:
		return i.judgeFailures(o), true
	}
	return verdict{}, false
}

const resumeHint = "the same command resumes where this one stopped"

// judgeFailures says which windows are missing. A panic is a bug, and exits as one.
func (i *ingest) judgeFailures(o coordinator.Outcome) verdict {
	v := verdict{code: exitLeft, hint: resumeHint, text: fmt.Sprintf("%d shards failed, their windows are not complete", len(o.Failures))}
	for _, f := range o.Failures {
		v.findings = append(v.findings, fmt.Sprintf("shard %d %s: %v", f.Shard, f.Window, f.Err))
		var panicked *coordinator.PanicError
		if errors.As(f.Err, &panicked) {
			v.code, v.final, v.hint = exitUnexpected, true, "this is a bug; the stack is in "+keepStack(panicked.Recovered.String())
		}
	}
	return v
}

// addSpent adds what the fetchers of a second walk did.
func addSpent(a, b []shard.Spent) []shard.Spent {
	if len(a) < len(b) {
		a, b = b, a
	}
	for n := range b {
		a[n] = a[n].Add(b[n])
	}
	return a
}
