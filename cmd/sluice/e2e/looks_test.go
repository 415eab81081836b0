package e2e

import (
	"strings"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// TestALookSpendsTheSameQuota: plan, doctor and verify wait for what a run was told, instead of asking on their own account.
func TestALookSpendsTheSameQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.mustRun(cli.ExitOK, "run")
	w.env["SLUICE_LIST_LIMIT"], w.env["SLUICE_STREAM_LIMIT"] = "", ""
	w.hold(`update api_quotas set not_before = now() + interval '1 hour'; commit`)()
	before := w.pages()
	w.mustRun(cli.ExitLeft, "plan")
	w.mustRun(cli.ExitUnreachable, "doctor")
	if r := w.mustRun(cli.ExitOK, "verify"); !contains(r.stdout, "not checked: the source's total at the end") {
		t.Error(r.stdout)
	}
	if asked := w.pages() - before; asked != 0 {
		t.Errorf("%d pages were asked for in an hour without quota", asked)
	}
}

// TestALookIsBooked: what plan spends, the next run knows of.
func TestALookIsBooked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.mustRun(cli.ExitOK, "run")
	var before, after int
	w.query(`select coalesce(sum(cardinality(sent)), 0)::int from api_quotas`, nil, &before)
	w.env["SLUICE_LIST_LIMIT"], w.env["SLUICE_STREAM_LIMIT"] = "10/60s", "50/60s"
	w.mustRun(cli.ExitOK, "plan")
	w.query(`select coalesce(sum(cardinality(sent)), 0)::int from api_quotas`, nil, &after)
	if after <= before {
		t.Errorf("%d requests on record before the look, %d after it", before, after)
	}
}

// TestAWaitAtTheStartIsRemembered: a run that was told to come back in an hour, before it had a plan, tells the next one.
func TestAWaitAtTheStartIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.env["SLUICE_LIST_LIMIT"], w.env["SLUICE_STREAM_LIMIT"] = "", ""
	w.sim.Script(apisim.List, apisim.Limited(time.Hour))
	w.sim.Script(apisim.Feed, apisim.Limited(time.Hour))
	w.mustRun(cli.ExitLeft, "run")
	before := w.pages()
	w.mustRun(cli.ExitLeft, "run")
	if asked := w.pages() - before; asked != 0 {
		t.Errorf("%d pages were asked for, an hour too early", asked)
	}
}

// TestVerifyWithoutTheAPI compares table and ledger all the same.
func TestVerifyWithoutTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.mustRun(cli.ExitOK, "run")
	w.env[cli.EnvAPI] = "http://127.0.0.1:1"
	if r := w.mustRun(cli.ExitOK, "verify"); !contains(r.stdout, "verified:") || !contains(r.stderr, "did not say") {
		t.Errorf("%s%s", r.stdout, r.stderr)
	}
}

// TestCommandsThatLook: status, verify, plan, doctor and dead-letters work after a run, as text and as JSON.
func TestCommandsThatLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, func(c *apisim.Config) { c.MalformedShare = 0.002 })
	w.mustRun(cli.ExitUsage, "status")
	w.mustRun(cli.ExitOK, "run", "--shards=4")
	for line, want := range map[string]string{
		"status":                                "complete and verified",
		"status --json":                         `"state": "complete and verified"`,
		"verify":                                "verified:",
		"verify --json":                         `"ok": true`,
		"plan --shards=4":                       "    4  ",
		"plan --json":                           `"until_stream": true`,
		"doctor":                                "ladder",
		"doctor --no-api --json":                `"name": "connect"`,
		"dead-letters list":                     "timestamp",
		"dead-letters list --json":              `"sha256"`,
		"dead-letters show 1":                   "reason",
		"dead-letters show 1 --json":            `"raw_bytes"`,
		"version":                               "sluice",
		"--help":                                "dead-letters",
		"simulate --truth --events=10 --seed=1": "10|",
		"simulate --truth --events=10 --live-rate=1 --live-start=2026-01-01 --at=2026-01-01T00:01:40Z":                             "123|",
		"simulate --truth --events=10 --live-rate=1 --live-start=2026-01-01 --at=2026-01-01T00:01:40Z --from=2026-01-01T00:00:01Z": "113|",
	} {
		if r := w.mustRun(cli.ExitOK, strings.Fields(line)...); !contains(r.stdout, want) {
			t.Errorf("sluice %s: %q is not in\n%s%s", line, want, r.stdout, r.stderr)
		}
	}
}
