package main

import (
	"errors"
	"testing"

	"github.com/sourcegraph/conc/panics"

	"sluice/coordinator"
	"sluice/shard"
)

// TestHowARunEndsIsItsExitCode: a script tells from nothing else whether the data are there, come with the next run, or are
// in doubt.
func TestHowARunEndsIsItsExitCode(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
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
		code    int
	}{
		"all done":                 {coordinator.Outcome{Done: 8}, false, exitOK},
		"a shard failed":           {failed(errors.New("stuck")), true, exitLeft},
		"a shard panicked":         {failed(errors.New("stuck"), bug), true, exitUnexpected},
		"stopped by the operator":  {coordinator.Outcome{Left: 1, Cause: &errSignal{}}, true, exitLeft},
		"nothing was committed":    {coordinator.Outcome{Left: 1, Cause: coordinator.ErrGaveUp}, true, exitLeft},
		"the job went to another":  {coordinator.Outcome{Left: 1, Cause: errLockLost}, true, exitLocked},
		"too many dead letters":    {coordinator.Outcome{Left: 1, Cause: coordinator.ErrBudget}, true, exitDoubt},
		"the key was refused":      {coordinator.Outcome{Cause: &shard.StopError{Err: errors.New("401"), Exit: 3}}, true, exitUnreachable},
		"refused, and shards fail": {coordinator.Outcome{Failures: failed(bug).Failures, Cause: &shard.StopError{Err: errors.New("401"), Exit: 3}}, true, exitUnreachable},
	} {
		v, over := (&ingest{}).judge(c.outcome)
		if over != c.over || v.code != c.code {
			t.Errorf("%s: exit code %d, over %t; want %d, %t", name, v.code, over, c.code, c.over)
		}
		if over && v.text == "" {
			t.Errorf("%s: nothing is said", name)
		}
	}
}

// TestTheQuotaThatWasSpentIsWrittenDown, for the next run to spend the same.
func TestTheQuotaThatWasSpentIsWrittenDown(t *testing.T) {
	w := newWorld(t, 3_000, nil)
	w.mustRun(exitOK, "run", "--shards=1", "--list-limit=50/60s", "--stream-limit=50/60s")
	var sent int64
	w.query(`select coalesce(sum(cardinality(sent)), 0) from api_quotas`, nil, &sent)
	if sent != w.pages() {
		t.Errorf("%d requests are written down, %d were made", sent, w.pages())
	}
}
