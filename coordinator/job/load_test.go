package job

import (
	"errors"
	"testing"

	"github.com/sourcegraph/conc/panics"

	"sluice/coordinator"
	"sluice/shard"
)

// TestHowAWalkEndsIsItsStatus: whether the data are there, come with the next run, or are in doubt.
func TestHowAWalkEndsIsItsStatus(t *testing.T) {
	t.Parallel()
	bug := &coordinator.PanicError{Recovered: panics.Try(func() { panic("a bug") })}
	failed := func(errs ...error) (o coordinator.Outcome) {
		for i, err := range errs {
			o.Failures = append(o.Failures, coordinator.Failure{Shard: i + 1, Err: err})
		}
		return o
	}
	for name, c := range map[string]struct {
		outcome coordinator.Outcome
		over    bool
		status  Status
	}{
		"all done":                 {coordinator.Outcome{Done: 8}, false, 0},
		"a shard failed":           {failed(errors.New("stuck")), true, Left},
		"a shard panicked":         {failed(errors.New("stuck"), bug), true, Broken},
		"stopped by the operator":  {coordinator.Outcome{Left: 1, Cause: errors.New("stopped by a signal")}, true, Left},
		"nothing was committed":    {coordinator.Outcome{Left: 1, Cause: coordinator.ErrGaveUp}, true, Left},
		"the job went to another":  {coordinator.Outcome{Left: 1, Cause: ErrLockLost}, true, Locked},
		"too many dead letters":    {coordinator.Outcome{Left: 1, Cause: coordinator.ErrTooManyDeadLetters}, true, Doubt},
		"the key was refused":      {coordinator.Outcome{Cause: &shard.StopError{Err: errors.New("401"), Reason: shard.Refused}}, true, Refused},
		"refused, and shards fail": {coordinator.Outcome{Failures: failed(bug).Failures, Cause: &shard.StopError{Err: errors.New("401"), Reason: shard.Refused}}, true, Refused},
	} {
		v, over := judge(c.outcome)
		if over != c.over || v.Status != c.status {
			t.Errorf("%s: %s, over %t; want %s, %t", name, v.Status, over, c.status, c.over)
		}
		if over && v.Text == "" {
			t.Errorf("%s: nothing is said", name)
		}
	}
}
