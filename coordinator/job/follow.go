package job

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Follow makes a pass like Sync every Config.Every until ctx ends. A source or a store that is away is waited for, without end, and
// rounds go on while the data are in doubt. Stopped between two rounds it is Complete, or Doubt; in the middle of one Left. It ends by
// itself when no waiting would help: the key was refused, another run took the job, or the table may not be written to any more.
func (j *Job) Follow(ctx context.Context) Verdict {
	if err := j.prepare(ctx); err != nil {
		return unstarted(ctx, err)
	}
	f := follower{every: j.config.Every, rest: j.rest, log: j.config.Log}
	f.step = func(ctx context.Context) Verdict {
		v := j.pass(ctx)
		if hook := j.config.Hooks.Stepped; hook != nil {
			hook(ctx)
		}
		return v
	}
	return j.attend(ctx, f.run)
}

// The pauses between two checks of a first load that is in doubt: each reads the whole table, and perhaps the source.
const (
	firstRecheck = time.Minute
	maxRecheck   = time.Hour
)

// pass is one step of a follow. While its first load is in doubt although all of it was read, rounds go on, and it is checked again
// from time to time: what other commands do beside a follow may lift the doubt, and nothing that they do ends the follow.
//
// The job is read anew each time: a failover to a standby that is behind may have undone the first load.
func (j *Job) pass(ctx context.Context) Verdict {
	looksAgain := time.Now().Before(j.recheck)
	between := looksAgain || j.job.Verified()
	if err := j.reload(ctx); err != nil {
		v := failed(ctx, err)
		v.between = between
		return v
	}
	if looksAgain {
		return j.nextRound(ctx)
	}
	v := j.step(ctx)
	j.recheck = time.Time{}
	if v.Status == Doubt && !v.final && !j.job.Verified() && ledger.OpenDoubt(j.doubts, ledger.DoubtSource) == nil {
		j.pause = min(maxRecheck, max(firstRecheck, 2*j.pause))
		j.recheck = time.Now().Add(j.pause)
	}
	return v
}

func (j *Job) rest(after Verdict) {
	if hook := j.config.Hooks.Rest; hook != nil {
		hook(after)
	}
}

// follower takes steps until it is stopped, or until one of them ends it.
type follower struct {
	every time.Duration
	step  func(context.Context) Verdict
	rest  func(Verdict) // called with the verdict on a step, at once and every second until the next one
	log   *slog.Logger
}

func (f *follower) run(ctx context.Context) Verdict {
	for faults := 0; ; {
		began := time.Now()
		v := f.step(ctx)
		if v.final || ctx.Err() != nil {
			return v.stopped(ctx, v.between && faults == 0)
		}
		f.log.Debug("a step is done", "verdict", v.Text)
		pause := f.every - time.Since(began)
		if faults++; v.Status == Complete || v.Status == Doubt {
			faults = 0
		}
		if faults > 0 {
			pause = pauseAfter(faults)
			f.log.Warn("waiting for what is away", "why", v.Text, "trying_again_in", pause)
		}
		if f.wait(ctx, v, pause) != nil {
			return v.stopped(ctx, faults == 0)
		}
	}
}

// restEvery is how often a follow that waits shows that it does.
const restEvery = time.Second

// wait waits for the next step.
func (f *follower) wait(ctx context.Context, v Verdict, pause time.Duration) error {
	for end := time.Now().Add(pause); ; {
		f.rest(v)
		left := time.Until(end)
		if left <= restEvery {
			return shard.Sleep(ctx, left)
		}
		if err := shard.Sleep(ctx, restEvery); err != nil {
			return err
		}
	}
}

// maxPause is the longest pause before something that is away is tried again.
const maxPause = 30 * time.Second

// pauseAfter doubles with every fault in a row.
func pauseAfter(faults int) time.Duration {
	return min(maxPause, time.Second<<min(faults-1, 10))
}

// stopped is the verdict on a follow that ends after v. With nothing left to do, being stopped is no fault.
func (v Verdict) stopped(ctx context.Context, clean bool) Verdict {
	cause := context.Cause(ctx)
	switch {
	case v.final:
	case errors.Is(cause, ErrLockLost):
		v = Verdict{Status: Locked, Text: cause.Error(), Err: cause, final: true}
	case clean && v.Status == Doubt: // the last round found too little: that is what there is to say
	case clean && cause != nil:
		v.Status, v.Text, v.Hint, v.Err = Complete, cause.Error()+" between two rounds", "", nil
	default:
		v.Status, v.Hint = Left, ""
		if v.Err == nil {
			v.Err = cause
		}
	}
	return v
}
