package coordinator_test

import (
	"errors"
	"testing"
	"time"

	"sluice/coordinator"
	"sluice/shard"
)

func TestTheRunGivesUpWhereNothingIsCommitted(t *testing.T) {
	for _, c := range []struct{ after, want time.Duration }{{0, 15 * time.Minute}, {time.Minute, time.Minute}} {
		inJob(t, 3, func(j *job) {
			j.config.GiveUpAfter = c.after
			j.source.Answer = func(request) error { return transient() }
			began := time.Now()
			o := j.run(j.Context())
			j.wantOutcome(o, 0, 3, 0)
			j.wantLeft(coordinator.ErrGaveUp)
			if !errors.Is(o.Cause, coordinator.ErrGaveUp) {
				j.Errorf("cause %v", o.Cause)
			}
			if took := time.Since(began); took != c.want {
				j.Errorf("gave up after %s, want %s", took, c.want)
			}
			j.source.Answer = nil
			j.complete()
		})
	}
}

// A page takes ten minutes; the run takes more than an hour, and goes on.
func TestCommitsHoldTheGivingUpOff(t *testing.T) {
	inJob(t, 2, func(j *job) {
		j.source.Latency, j.config.Fetchers = 10*time.Minute, 1
		began := time.Now()
		j.complete()
		if took := time.Since(began); took < time.Hour {
			j.Errorf("the run took only %s", took)
		}
	})
}

// One shard never gets anywhere. The others end, and from their last commit on the time runs.
func TestTheRunGivesUpAfterTheLastCommit(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.source.Latency = 5 * time.Minute
		j.fails(2, transient())
		o := j.run(j.Context())
		j.wantOutcome(o, 2, 1, 0)
		last := j.store.doneAt(1)
		if other := j.store.doneAt(3); other.After(last) {
			last = other
		}
		if waited := time.Since(last); !errors.Is(o.Cause, coordinator.ErrGaveUp) || waited != 15*time.Minute {
			j.Errorf("%v, %s after the last commit", o.Cause, waited)
		}
	})
}

func everyTenth(k int) bool { return k%10 == 0 }

func TestMoreDeadLettersThanToleratedStopTheRun(t *testing.T) {
	inJob(t, 4, func(j *job) {
		j.source.Bad = everyTenth
		j.config.MaxDeadLetters = func(received int64) int64 { return max(5, received/20) }
		o := j.run(j.Context())
		if !errors.Is(o.Cause, coordinator.ErrTooManyDeadLetters) || o.Left == 0 || o.Left+o.Done != 4 {
			j.Errorf("%+v", o)
		}
		j.wantLeft(coordinator.ErrTooManyDeadLetters)
	})
}

func TestAsManyDeadLettersAsToleratedDoNot(t *testing.T) {
	inJob(t, 4, func(j *job) {
		j.source.Bad = everyTenth
		j.config.MaxDeadLetters = func(received int64) int64 { return max(9, received/10+6) }
		o := j.run(j.Context())
		j.wantOutcome(o, 4, 0, 0)
		j.wantRows(4 * perShard * 9 / 10)
		if o.Cause != nil {
			j.Errorf("stopped: %v", o.Cause)
		}
	})
}

// What earlier runs of the job have dead-lettered counts: a rerun is no way around the budget.
func TestTheBudgetIsTheJobs(t *testing.T) {
	inJob(t, 2, func(j *job) {
		j.store.edit(2, func(cp *shard.Checkpoint) {
			cp.State, cp.Counts = shard.Done, shard.Counts{Received: 1000, DeadLetters: 100, Events: 900}
		})
		j.source.Bad = func(k int) bool { return k == perShard+perShard/2 }
		j.config.MaxDeadLetters = func(int64) int64 { return 100 }
		o := j.run(j.Context())
		if !errors.Is(o.Cause, coordinator.ErrTooManyDeadLetters) {
			j.Errorf("cause %v", o.Cause)
		}
	})
}
