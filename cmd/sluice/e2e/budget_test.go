package e2e

import (
	"encoding/json"
	"testing"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// TestDeadLetterBudgetStopsTheRun: exit code 5 and what to do; nothing that was received is lost; a rerun asks for nothing and
// says the same, until more are allowed.
func TestDeadLetterBudgetStopsTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, func(c *apisim.Config) { c.PageCap, c.MalformedShare = 500, 0.05 })
	r := w.mustRun(cli.ExitDoubt, "run", "--shards=4", "--max-dead-letters=50")
	for _, want := range []string{"too many dead letters", "dead-letters list", "--max-dead-letters", "exit code 5"} {
		if !contains(r.stderr, want) {
			t.Errorf("%q is not in\n%s", want, r.stderr)
		}
	}
	if contains(r.stdout, "ingestion complete") {
		t.Error("the run claims to be complete")
	}
	var stopped, letters int
	w.query(`select sum(received - events - duplicates - out_of_window)::int, (select count(*) from dead_letters) from ingestion_shards`, nil, &stopped, &letters)
	if letters <= 50 || letters >= 900 || letters != stopped {
		t.Errorf("the run stopped with %d dead letters, the ledger counts %d", letters, stopped)
	}
	w.mustRun(cli.ExitLeft, "verify")
	before := w.pages()
	again := w.mustRun(cli.ExitDoubt, "run", "--shards=4", "--max-dead-letters=50", "--json")
	if asked := w.pages() - before; asked != 0 {
		t.Errorf("a rerun with the same budget asked for %d pages", asked)
	}
	var told cli.Result
	if err := json.Unmarshal([]byte(again.stdout), &told); err != nil || told.ExitCode != cli.ExitDoubt || !contains(told.Hint, "--max-dead-letters") {
		t.Errorf("%v, %+v", err, told)
	}
	w.mustRun(cli.ExitOK, "run", "--shards=4", "--max-dead-letters=5000")
	w.exact()
}

// TestReplayGivesTheBudgetBack: dead letters that have become rows stop no run.
func TestReplayGivesTheBudgetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6_000, func(c *apisim.Config) { c.PageCap = 100 })
	w.migrated(`alter table ingested_events add constraint picky check (right(name, 1) <> 'q')`)
	w.mustRun(cli.ExitDoubt, "run", "--shards=4", "--max-dead-letters=20")
	w.mustRun(cli.ExitDoubt, "run", "--shards=4", "--max-dead-letters=20")
	w.migrated(`alter table ingested_events drop constraint picky`)
	if all := w.replayJSON(cli.ExitOK); all.Stored <= 20 || len(all.Left) != 0 {
		t.Errorf("%+v", all)
	}
	w.mustRun(cli.ExitOK, "run", "--shards=4", "--max-dead-letters=20")
	w.complete()
}
