package cli

import (
	"testing"
	"time"
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
		"a column is dropped":      {`alter table ingested_events drop column browser`, ExitLeft, `column "browser" of relation`, ExitUsage},
		"a column is renamed":      {`alter table ingested_events rename column browser to agent`, ExitLeft, `column "browser" of relation`, ExitUsage},
		"jsonb becomes text":       {`alter table ingested_events alter column properties drop default, alter column properties type text`, ExitDoubt, "column properties is text, not jsonb", ExitUsage},
		"instants become numbers":  {`alter table ingested_events alter column "timestamp" type bigint using extract(epoch from "timestamp")*1e6`, ExitDoubt, "column timestamp is int8, not timestamptz", ExitUsage},
		"the key is dropped":       {`alter table ingested_events drop constraint ingested_events_pkey`, ExitDoubt, "id is not unique", ExitUsage},
		"the table is not logged":  {`alter table ingested_events set unlogged`, ExitDoubt, "not logged", ExitUsage},
		"the table is dropped":     {`drop table ingested_events`, ExitLeft, `relation "public.ingested_events" does not exist`, ExitUsage},
		"the ledger is emptied":    {`truncate ingestion_shards cascade`, ExitLeft, "is gone", ExitDoubt},
		"the whole job is deleted": {`begin; lock table ingestion_shards; truncate ingestion_jobs cascade; commit`, ExitLeft, "is gone", ExitUsage},
		"the database is dropped":  {"", ExitLeft, "does not exist", ExitUnreachable},
		"the rows are deleted":     {`truncate ingested_events`, ExitOK, "fetched again", ExitOK},
		"some rows are deleted":    {`delete from ingested_events where id in (select id from ingested_events limit 10)`, ExitOK, "fetched again", ExitOK},
		"one shard is deleted":     {`delete from ingestion_shards where id = (select id from ingestion_shards where state = 'running' and parent_id is null order by seq, id limit 1)`, ExitLeft, "is gone", ExitDoubt},
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
			if code != fault.code || !contains(out, fault.words) || contains(out, "ingestion complete") != (code == ExitOK) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, fault.code, fault.words, out)
			}
			if code == ExitDoubt {
				if r := w.run("verify"); r.code != ExitDoubt || !contains(r.stderr, fault.words) {
					t.Errorf("verify: exit code %d:\n%s%s", r.code, r.stdout, r.stderr)
				}
			}
			if r := w.run("run", "--shards=4", "--give-up-after=15s"); r.code != fault.again {
				t.Errorf("the next run: exit code %d, want %d:\n%s%s", r.code, fault.again, r.stdout, r.stderr)
			}
		})
	}
}

// dropDatabase returns what makes it anew.
func (w *world) dropDatabase() (make func()) {
	var name string
	w.query(`select current_database()`, nil, &name)
	server := *w
	server.env = map[string]string{EnvDatabase: onDatabase(w.t, w.env[EnvDatabase], "postgres")}
	server.exec(`drop database "` + name + `" with (force)`)
	return func() { server.exec(`create database "` + name + `"`) }
}
