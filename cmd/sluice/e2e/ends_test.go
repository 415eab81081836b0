package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// TestTheQuotaThatWasSpentIsWrittenDown, for the next run to spend the same.
func TestTheQuotaThatWasSpentIsWrittenDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3_000, nil)
	w.mustRun(cli.ExitOK, "run", "--shards=1", "--list-limit=50/60s", "--stream-limit=50/60s")
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
	if code := p.code(t, time.Minute); code != cli.ExitLocked {
		t.Fatalf("exit code %d, want %d:\n%s", code, cli.ExitLocked, p.out.String())
	}
}

const jobLocks = `from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`

// takeLock waits for the lock that another session holds.
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
	w.mustRun(cli.ExitOK, "run", "--shards=3")
	w.exec(`delete from ingested_events where id = (select min(id::text)::uuid from ingested_events)`)
	w.mustRun(cli.ExitDoubt, "verify", "--repair")
	before := w.sim.Counts(apisim.Feed).Requests
	w.mustRun(cli.ExitOK, "run", "--shards=3")
	w.exact()
	if w.sim.Counts(apisim.Feed).Requests == before {
		t.Error("the stream was not asked")
	}
}
