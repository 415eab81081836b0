package e2e

import (
	"strings"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// TestAnotherSourceUnderTheSameNameIsRefused unless it is said to be the same data at a new address.
func TestAnotherSourceUnderTheSameNameIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.env["SLUICE_SOURCE"] = "https://api.example.com"
	w.mustRun(cli.ExitOK, "run")
	w.env["SLUICE_SOURCE"] = "https://elsewhere.example.com"
	r := w.mustRun(cli.ExitUsage, "run")
	if !contains(r.stderr, "--source-moved") {
		t.Error(r.stderr)
	}
	w.mustRun(cli.ExitOK, "run", "--source-moved")
}

// TestAnotherDemoIsAnotherSource: data that are others cannot have moved, and the way out is a command that works.
func TestAnotherDemoIsAnotherSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.mustRun(cli.ExitOK, "run")
	w.env["SLUICE_SOURCE"] = "simulator:v2,seed=1,n=60000"
	for _, args := range [][]string{{"run"}, {"run", "--source-moved"}, {"run", "--job=two"}} {
		r := w.mustRun(cli.ExitUsage, args...)
		_, command, found := strings.Cut(r.stderr, ` -c '`)
		sql, _, ended := strings.Cut(command, "'")
		if !found || !ended {
			t.Fatalf("%v: no command in\n%s", args, r.stderr)
		}
		if len(args) > 1 && args[1] == "--job=two" {
			w.hold(sql + "; commit")()
		}
	}
	w.mustRun(cli.ExitOK, "run")
	w.exact()
}

// TestDemoDoesNotMixWithRealRows: neither way.
func TestDemoDoesNotMixWithRealRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.mustRun(cli.ExitOK, "run")
	w.env["SLUICE_SOURCE"] = "https://api.example.com"
	if r := w.mustRun(cli.ExitUsage, "run", "--job=real"); !contains(r.stderr, "rows of the demo") {
		t.Error(r.stderr)
	}
	w.env["SLUICE_SOURCE"] = "simulator:v2,seed=9,n=1"
	if r := w.mustRun(cli.ExitUsage, "run", "--job=other"); !contains(r.stderr, "would mix") {
		t.Error(r.stderr)
	}
}

// TestInventedEventsAreAskedForByName: with API_BASE_URL forgotten, nothing goes into a database that was given, by no command.
func TestInventedEventsAreAskedForByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.env[cli.EnvAPI], w.env["SLUICE_SOURCE"] = "", ""
	for _, args := range [][]string{{"run"}, {"sync"}, {"follow"}, {"backfill", "--from=2026-01-05", "--to=2026-01-06"}} {
		if r := w.mustRun(cli.ExitUsage, args...); !contains(r.stderr, "API_BASE_URL and TARGET_API_KEY") || !contains(r.stderr, "--demo-profile=demo") {
			t.Error(r.stderr)
		}
	}
	if n := w.number(`select count(*) from pg_catalog.pg_tables where schemaname = 'public'`); n != 0 {
		t.Errorf("there are %d tables", n)
	}
	w.mustRun(cli.ExitOK, "run", "--demo-events=6000")
	if n := w.number(`select count(*) from ingested_events`); n != 6000 {
		t.Errorf("the table has %d rows", n)
	}
}

// TestSpanOfAJob: --from and --to bound what is stored, exactly.
func TestSpanOfAJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12_000, func(c *apisim.Config) { c.PageCap = 1000 })
	w.mustRun(cli.ExitOK, "run", "--shards=3", "--from=2026-01-05", "--to=2026-01-20T12:00:00Z")
	start, end := mustInstant(t, "2026-01-05T00:00:00Z"), mustInstant(t, "2026-01-20T12:00:00Z")
	want := w.sim.Data().Truth(start.UnixMicro(), end.UnixMicro())
	var got apisim.Sum
	w.query(apisim.TruthSQL, []any{start, end}, &got.Rows, &got.Hash)
	var all int64
	w.query(`select count(*) from ingested_events`, nil, &all)
	if got != want || all != want.Rows {
		t.Errorf("the table has %+v in the span and %d rows in all, want %+v", got, all, want)
	}
}

func mustInstant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
