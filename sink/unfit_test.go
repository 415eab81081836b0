package sink

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/doctor"
	"sluice/sink/pgtest"
)

// What only the operator can end is no outage: nothing waits for it.
func TestFaultsThatOnlyTheOperatorCanEnd(t *testing.T) {
	for name, change := range map[string]string{
		"a column of the ledger is gone": `alter table ingestion_shards drop column cursor`,
		"a table of the ledger is gone":  `alter table dead_letters rename to before`,
		"the events are gone":            `drop table ingested_events`,
		"the schema is gone":             `alter schema public rename to before; create schema public`,
		"properties became text":         `alter table ingested_events alter column properties type text`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			from := b.begin(t, 1)
			_, err := b.pool.Exec(t.Context(), change)
			must(t, err)
			if _, err = b.Commit(t.Context(), batch(from, events(0, 10), reject("{", ""))); !errors.As(err, new(*ledger.UnfitError)) {
				t.Errorf("got %v, want an UnfitError", err)
			}
			since, _ := b.Waiting()
			equal(t, "waits for the database", !since.IsZero(), false)
		})
	}
}

func TestAnEmptiedLedger(t *testing.T) {
	b := newBench(t)
	id := b.shard(t, 1).ID
	_, err := b.pool.Exec(t.Context(), `truncate ingestion_shards cascade`)
	must(t, err)
	if _, err := b.Begin(t.Context(), id); !errors.As(err, new(*ledger.UnfitError)) || !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want an UnfitError that is ErrGone", err)
	}
}

// asRole returns a bench, and a store whose role may be changed under it.
func asRole(t *testing.T) (*bench, *Postgres) {
	t.Helper()
	server := pgtest.NewServer(t, pgtest.Options{})
	b := newBenchAt(t, server.URL("postgres"))
	_, err := b.pool.Exec(t.Context(), `
create role alice login password 'one';
grant select, insert, update on all tables in schema public to alice;
grant delete on ingestion_shards to alice;
grant usage on all sequences in schema public to alice`)
	must(t, err)
	_, host, _ := strings.Cut(b.url, "@")
	p, err := Open(t.Context(), Config{URL: "postgres://alice:one@" + host, Job: "test", Run: b.Run()})
	must(t, err)
	t.Cleanup(p.Close)
	return b, p
}

func TestARevokedPrivilegeIsNoOutage(t *testing.T) {
	t.Parallel()
	b, p := asRole(t)
	from, err := p.Begin(t.Context(), b.shard(t, 1).ID)
	must(t, err)
	_, err = p.Commit(t.Context(), batch(from, events(0, 10)))
	must(t, err)
	_, err = b.pool.Exec(t.Context(), `revoke insert on ingested_events from alice`)
	must(t, err)
	from.Seq++
	if _, err := p.Commit(t.Context(), batch(from, events(10, 10))); !errors.As(err, new(*ledger.UnfitError)) {
		t.Errorf("got %v, want an UnfitError", err)
	}
}

const endAlice = `select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'alice'`

// A password that was changed may be changed back, or be on its way to us: only after a while it ends the run, with the cause.
func TestAChangedPasswordIsTriedAFewTimes(t *testing.T) {
	t.Parallel()
	b, p := asRole(t)
	from, err := p.Begin(t.Context(), b.shard(t, 1).ID)
	must(t, err)
	_, err = b.pool.Exec(t.Context(), `alter role alice password 'two'`)
	must(t, err)
	b.count(t, endAlice)
	done := make(chan error, 1)
	go func() {
		_, err := p.Commit(t.Context(), batch(from, events(0, 10)))
		done <- err
	}()
	awaitOutage(t, p)
	_, err = b.pool.Exec(t.Context(), `alter role alice password 'one'`)
	must(t, err)
	must(t, <-done)

	_, err = b.pool.Exec(t.Context(), `alter role alice password 'two'`)
	must(t, err)
	b.count(t, endAlice)
	p.logins.patience = 0
	from.Seq++
	_, err = p.Commit(t.Context(), batch(from, events(10, 10)))
	var stop *shard.StopError
	if !errors.As(err, &stop) || stop.Reason != shard.Refused || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("got %v, want a StopError with the cause", err)
	}
}

// A follow that has nothing to store finds out that it could not.
func TestUsable(t *testing.T) {
	t.Parallel()
	b, p := asRole(t)
	must(t, p.Usable(t.Context()))
	for _, change := range []struct{ breaks, words, mends string }{
		{`revoke insert on ingested_events from alice`, "alice may not insert on ingested_events", `grant insert on ingested_events to alice`},
		{`alter table ingestion_rounds rename to gone`, "table ingestion_rounds", `alter table gone rename to ingestion_rounds`},
		{`alter table ingested_events alter column browser type int using 1`, "column browser is int4", `alter table ingested_events alter column browser type text`},
		{`revoke usage on schema public from public, alice`, "alice may not use schema public", `grant usage on schema public to public`},
	} {
		_, err := b.pool.Exec(t.Context(), change.breaks)
		must(t, err)
		if err := p.Usable(t.Context()); err == nil || !strings.Contains(err.Error(), change.words) {
			t.Errorf("%s: got %v", change.breaks, err)
		}
		_, err = b.pool.Exec(t.Context(), change.mends)
		must(t, err)
		must(t, p.Usable(t.Context()))
	}
}

// The password lives for minutes only: each new session, of the pool, of the lock, of a migration and of the doctor, reads it again.
func TestAPasswordIsReadAgainForEachSession(t *testing.T) {
	t.Parallel()
	b, p := asRole(t)
	_, host, _ := strings.Cut(p.config.URL, "@")
	at, database, _ := strings.Cut(host, "/")
	database, _, _ = strings.Cut(database, "?")
	name, port, _ := strings.Cut(at, ":")
	line := func(password string) string {
		return strings.Join([]string{name, port, database, "alice", password}, ":")
	}
	for kind, with := range map[string]func(file string) Config{
		"command": func(file string) Config {
			return Config{URL: "postgres://alice:old@" + host, PasswordCommand: "cut -d: -f5 '" + file + "'"}
		},
		"passfile": func(file string) Config { return Config{URL: "postgres://alice@" + host + "&passfile=" + file} },
	} {
		file := filepath.Join(t.TempDir(), "pgpass")
		change := func(password string) {
			_, err := b.pool.Exec(t.Context(), `alter role alice password '`+password+`'`)
			must(t, err)
			must(t, os.WriteFile(file, []byte(line(password)+"\n"), 0o600))
			b.count(t, endAlice)
		}
		change("first " + kind)
		config := with(file)
		config.Job, config.Run = "test", b.Run()
		p, err := Open(t.Context(), config)
		must(t, err)
		change("second " + kind)
		must(t, p.Migrate(t.Context()))
		lock, err := p.Lock(t.Context())
		must(t, err)
		lock.Close(t.Context())
		p.pool.Reset()
		must(t, p.Usable(t.Context()))
		if f := Diagnose(t.Context(), config)[0]; f.Level != doctor.OK {
			t.Errorf("%s: the doctor says %+v", kind, f)
		}
		p.Close()
	}
	for command, words := range map[string]string{
		"echo CANARY; exit 3": "exit status 3", "true": "printed no password", "echo CANARY": "password authentication failed",
	} {
		_, err := Open(t.Context(), Config{URL: p.config.URL, PasswordCommand: command})
		var why *ConnectError
		if !errors.As(err, &why) || !strings.Contains(why.Why, words) || strings.Contains(err.Error()+why.Hint, "CANARY") {
			t.Errorf("%s: got %v", command, err)
		}
	}
}
