package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
)

// TestTablesChangedInTheMiddle: whatever an operator does to the tables while a run writes into them, the run does not claim to
// be complete where it is not, and says what is wrong.
func TestTablesChangedInTheMiddle(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		sql   string
		code  int // of the run
		words string
		again int // exit code of the next run
	}{
		"a column is dropped":      {`alter table ingested_events drop column browser`, cli.ExitLeft, `column "browser" of relation`, cli.ExitUsage},
		"a column is renamed":      {`alter table ingested_events rename column browser to agent`, cli.ExitLeft, `column "browser" of relation`, cli.ExitUsage},
		"jsonb becomes text":       {`alter table ingested_events alter column properties drop default, alter column properties type text`, cli.ExitDoubt, "column properties is text, not jsonb", cli.ExitUsage},
		"instants become numbers":  {`alter table ingested_events alter column "timestamp" type bigint using extract(epoch from "timestamp")*1e6`, cli.ExitDoubt, "column timestamp is int8, not timestamptz", cli.ExitUsage},
		"the key is dropped":       {`alter table ingested_events drop constraint ingested_events_pkey`, cli.ExitDoubt, "id is not unique", cli.ExitUsage},
		"the table is not logged":  {`alter table ingested_events set unlogged`, cli.ExitDoubt, "not logged", cli.ExitUsage},
		"the table is dropped":     {`drop table ingested_events`, cli.ExitLeft, `relation "ingested_events" does not exist`, cli.ExitUsage},
		"the ledger is emptied":    {`truncate ingestion_shards cascade`, cli.ExitLeft, "is gone", cli.ExitOK},
		"the whole job is deleted": {`begin; lock table ingestion_shards; truncate ingestion_jobs cascade; commit`, cli.ExitLeft, "is gone", cli.ExitUsage},
		"the database is dropped":  {"", cli.ExitLeft, "does not exist", cli.ExitUnreachable},
		"the rows are deleted":     {`truncate ingested_events`, cli.ExitOK, "fetched again", cli.ExitOK},
		"some rows are deleted":    {`delete from ingested_events where id in (select id from ingested_events limit 10)`, cli.ExitOK, "fetched again", cli.ExitOK},
		"one shard is deleted":     {`delete from ingestion_shards where id = (select id from ingestion_shards where state = 'running' and parent_id is null order by seq, id limit 1)`, cli.ExitLeft, "is gone", cli.ExitOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 24_000, slow(50*time.Millisecond)) // 120 pages: on a busy machine the fault comes late
			p := w.start("run", "--shards=4", "--give-up-after=15s")
			w.waitFor(p, 20)
			if fault.sql == "" {
				defer w.dropDatabase()()
			} else {
				w.exec(fault.sql)
			}
			code := p.code(t, time.Minute)
			out := p.out.String()
			if code != fault.code || !contains(out, fault.words) || contains(out, "ingestion complete") != (code == cli.ExitOK) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, fault.code, fault.words, out)
			}
			if code == cli.ExitDoubt {
				if r := w.run("verify"); r.code != cli.ExitDoubt || !contains(r.stderr, fault.words) {
					t.Errorf("verify: exit code %d:\n%s%s", r.code, r.stdout, r.stderr)
				}
			}
			if r := w.run("run", "--shards=4", "--give-up-after=15s"); r.code != fault.again {
				t.Errorf("the next run: exit code %d, want %d:\n%s%s", r.code, fault.again, r.stdout, r.stderr)
			}
			if fault.again == cli.ExitOK {
				w.exact()
			}
		})
	}
}

// dropDatabase returns what makes it anew.
func (w *world) dropDatabase() (make func()) {
	var name string
	w.query(`select current_database()`, nil, &name)
	server := *w
	server.env = map[string]string{cli.EnvDatabase: onDatabase(w.t, w.env[cli.EnvDatabase], "postgres")}
	server.exec(`drop database "` + name + `" with (force)`)
	return func() { server.exec(`create database "` + name + `"`) }
}

// TestWhatIsNotKnownIsNotZero: a database that is gone at the end has no figures, and nothing says that it holds no events.
func TestWhatIsNotKnownIsNotZero(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 24_000, slow(50*time.Millisecond))
	file := filepath.Join(t.TempDir(), "sluice.prom")
	for _, output := range []string{"--json", "--json=false"} {
		before := w.pages()
		p := w.start("run", "--shards=4", "--give-up-after=5s", "--metrics-file="+file, output)
		w.waitFor(p, before+40)
		put := w.dropDatabase()
		if code := p.code(t, time.Minute); code != cli.ExitLeft {
			t.Errorf("exit code %d", code)
		}
		out := p.out.String()
		if contains(out, "0 events stored") || contains(out, `"events":0`) || contains(out, "0 of 4 shards done") {
			t.Errorf("figures out of nothing:\n%s", out)
		}
		if output != "--json" && !contains(out, "how much is stored is not known") {
			t.Errorf("the summary does not say that it does not know:\n%s", out)
		}
		metrics, err := os.ReadFile(file)
		if err != nil || metric(t, string(metrics), "sluice_job_events") == 0 {
			t.Errorf("%v in\n%s", err, metrics)
		}
		put()
	}
	w.env[cli.EnvDatabase] = "postgres://nobody@127.0.0.1:1/nothing"
	if r := w.mustRun(cli.ExitUnreachable, "run", "--json", "--metrics-file="+file); contains(r.stdout, `"events":`) {
		t.Errorf("figures of a database that was not reached:\n%s", r.stdout)
	}
	if metrics, err := os.ReadFile(file); err != nil || contains(string(metrics), "\nsluice_job_events ") {
		t.Errorf("%v in\n%s", err, metrics)
	}
}
