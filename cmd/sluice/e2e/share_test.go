package e2e

import (
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// TestFollowAndBackfillSpendOneQuota: two processes at once, both with work for more than the whole quota, which is the true one ten
// times faster. Neither is refused once, both go on, and the table is exact.
func TestFollowAndBackfillSpendOneQuota(t *testing.T) {
	t.Parallel()
	g := newGrowing(t)
	c := &g.config
	c.List = apisim.Limit{Requests: 10, Window: 6 * time.Second}
	c.Feed = apisim.Limit{Requests: 50, Window: 6 * time.Second, Hidden: true}
	c.Latency, c.PageCap = apisim.Latency{Page: 300 * time.Millisecond, Jitter: 50 * time.Millisecond, Scale: 1}, 50
	g.grow(apisim.Live{Rate: 0.1})
	g.env["SLUICE_LIST_LIMIT"], g.env["SLUICE_STREAM_LIMIT"] = "10/6s", "50/6s"
	prebuild(t)
	follow := g.start("follow", "--shards=8", "--every=1s", "--lookback=1m")
	g.waitFor(follow, 20)
	backfill := g.start("backfill", "--from=-25d", "--to=-2d", "--shards=8")
	if code := backfill.code(t, 2*time.Minute); code != cli.ExitOK {
		t.Errorf("backfill: exit code %d:\n%s", code, backfill.out.String())
	}
	g.waitForOutput(follow, "a round is done")
	if err := follow.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := follow.code(t, 20*time.Second); code != cli.ExitOK && code != cli.ExitLeft {
		t.Errorf("follow: exit code %d:\n%s", code, follow.out.String())
	}
	began := time.Now()
	g.mustRun(cli.ExitOK, "sync")
	g.exactUpTo(began)
	for _, e := range []apisim.Endpoint{apisim.List, apisim.Feed} {
		if c := g.sim.Counts(e); c.Limited > 0 || c.Peak < 9 {
			t.Errorf("%s: %d of %d requests refused, at most %d in a window", e, c.Limited, c.Requests, c.Peak)
		}
	}
}

// TestARunAfterAnotherStartsAtOnce: one that has ended by itself is not waited for.
func TestARunAfterAnotherStartsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.env["SLUICE_LIST_LIMIT"], w.env["SLUICE_STREAM_LIMIT"] = "1000/60s", "1000/60s"
	for _, command := range []string{"run", "plan"} {
		w.mustRun(cli.ExitOK, command)
		var runs int
		w.query(`select count(*) from api_quotas, jsonb_object_keys(runs)`, nil, &runs)
		if runs != 0 {
			t.Errorf("after `sluice %s`, %d runs that have ended are in the table as if they were alive", command, runs)
		}
	}
}
