package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/sourcegraph/conc/panics"

	"sluice/coordinator"
	"sluice/fetch/apisim"
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
		"too many dead letters":    {coordinator.Outcome{Left: 1, Cause: coordinator.ErrTooManyDeadLetters}, true, exitDoubt},
		"the key was refused":      {coordinator.Outcome{Cause: &shard.StopError{Err: errors.New("401"), Reason: shard.Refused}}, true, exitUnreachable},
		"refused, and shards fail": {coordinator.Outcome{Failures: failed(bug).Failures, Cause: &shard.StopError{Err: errors.New("401"), Reason: shard.Refused}}, true, exitUnreachable},
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
	t.Parallel()
	w := newWorld(t, 3_000, nil)
	w.mustRun(exitOK, "run", "--shards=1", "--list-limit=50/60s", "--stream-limit=50/60s")
	var sent int64
	w.query(`select coalesce(sum(cardinality(sent)), 0) from api_quotas`, nil, &sent)
	if sent != w.pages() {
		t.Errorf("%d requests are written down, %d were made", sent, w.pages())
	}
}

// TestARunWhoseJobWasTakenStops: its session was lost, and another had the lock before it could come back.
func TestARunWhoseJobWasTakenStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 40_000, slow(200*time.Millisecond))
	p := w.start("run", "--shards=2")
	w.waitFor(p, 20)
	conn := w.connect()
	defer conn.Close(t.Context())
	taken := make(chan error, 1)
	go func() { taken <- takeLock(t.Context(), conn) }()
	w.awaitQuery(`select count(*) > 0 ` + jobLocks + ` and not granted`)
	w.exec(`select pg_terminate_backend(pid) ` + jobLocks + ` and granted`)
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	if code := p.code(t, time.Minute); code != exitLocked {
		t.Fatalf("exit code %d, want %d:\n%s", code, exitLocked, p.out.String())
	}
}

const jobLocks = `from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`

// takeLock stands in line for the lock that somebody holds.
func takeLock(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `select pg_advisory_lock((classid::bigint << 32) | objid::bigint) `+jobLocks+` and granted`)
	return err
}

// awaitQuery asks until the answer is true.
func (w *world) awaitQuery(sql string) {
	w.t.Helper()
	for met := false; !met; w.query(sql, nil, &met) {
		if w.t.Context().Err() != nil {
			w.t.Fatal("waited in vain for", sql)
		}
	}
}

// TestALaterRunKnowsWhatTheFirstFoundOut: windows that are walked again are asked for by timestamp, as the first run could.
func TestALaterRunKnowsWhatTheFirstFoundOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, nil)
	w.mustRun(exitOK, "run", "--shards=3")
	w.exec(`delete from ingested_events where id = (select min(id::text)::uuid from ingested_events)`)
	w.mustRun(exitDoubt, "verify", "--repair")
	before := w.sim.Counts(apisim.Feed).Requests
	w.mustRun(exitOK, "run", "--shards=3")
	w.exact()
	if w.sim.Counts(apisim.Feed).Requests == before {
		t.Error("the stream was not asked")
	}
}
