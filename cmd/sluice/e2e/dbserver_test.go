package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/sink/pgtest"
)

// TestServerFaultsInTheMiddle are faults of a whole server, one after another on the same one. The run goes on by itself each
// time, and ends exact.
func TestServerFaultsInTheMiddle(t *testing.T) {
	t.Parallel()
	prebuild(t)
	server := pgtest.NewServer(t, pgtest.Options{Settings: []string{"max_connections = 25", "wal_level = replica"}})
	(&world{t: t, env: map[string]string{cli.EnvDatabase: server.URL("postgres")}}).exec(`create role ordinary login password 'roles-password'`)
	for _, fault := range []struct {
		name, fetchers string
		strike         func(w *world, p *process, server *pgtest.Server)
	}{
		{"a backend is killed", "4", killBackend},
		{"all sessions are ended", "4", endSessions},
		{"no connection is left", "4", exhaustConnections},
		{"it is read-only for a while", "4", readOnlyForAWhile},
		{"it is a standby until it is promoted", "4", demote},
		{"it goes on from data of before", "1", goBackInTime},
	} {
		t.Run(fault.name, func(t *testing.T) {
			w := newWorld(t, 24_000, slow(100*time.Millisecond))
			name := "fault_" + fmt.Sprint(time.Now().UnixNano())
			if err := server.EnsureDatabase(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			admin := server.URL(name)
			w.env[cli.EnvDatabase] = admin
			w.exec(`alter database ` + name + ` owner to ordinary`)
			w.env[cli.EnvDatabase] = w.as("ordinary")
			p := w.start("run", "--shards=4", "--fetchers="+fault.fetchers)
			w.env[cli.EnvDatabase] = admin
			w.waitFor(p, 25)
			fault.strike(w, p, server)
			if code := p.code(t, 2*time.Minute); code != cli.ExitOK {
				t.Fatalf("exit code %d:\n%s", code, p.out.String())
			}
			w.exact()
		})
	}
}

// killBackend kills one with SIGKILL: the postmaster ends all others and recovers from the log.
func killBackend(w *world, _ *process, _ *pgtest.Server) {
	var pid int
	w.query(ourBackends+` limit 1`, nil, &pid)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		w.t.Fatal(err)
	}
}

const ourBackends = `select pid from pg_stat_activity where starts_with(application_name, 'sluice/') and datname = current_database()`

func endSessions(w *world, _ *process, _ *pgtest.Server) {
	var n int
	w.query(`select count(pg_terminate_backend(pid)) from (`+ourBackends+`) t`, nil, &n)
	if n == 0 {
		w.t.Error("there was no session to end")
	}
}

// exhaustConnections ends the run's sessions and lets it make no more, until it has noticed.
func exhaustConnections(w *world, p *process, _ *pgtest.Server) {
	w.exec(limitConnections(w, 0))
	endSessions(w, p, nil)
	w.waitForOutput(p, "53300")
	w.exec(limitConnections(w, -1))
}

// limitConnections holds for ordinary roles, such as that of the run, at once.
func limitConnections(w *world, n int) (sql string) {
	w.query(`select format('alter database %I connection limit %s', current_database(), $1::int)`, []any{n}, &sql)
	return sql
}

func readOnlyForAWhile(w *world, p *process, _ *pgtest.Server) {
	for _, sql := range []string{`alter system set default_transaction_read_only = on`, `select pg_reload_conf()`} {
		w.exec(sql)
	}
	w.waitForOutput(p, "25006")
	for _, sql := range []string{`alter system reset default_transaction_read_only`, `select pg_reload_conf()`} {
		w.exec(sql)
	}
}

// demote also lets the doctor look, and a new run try.
func demote(w *world, p *process, server *pgtest.Server) {
	server.Demote(w.t)
	w.waitForOutput(p, "25006")
	if r := w.mustRun(cli.ExitUnreachable, "doctor", "--no-api"); !contains(r.stdout, "the server is a standby") {
		w.t.Error(r.stdout)
	}
	var promoted bool
	w.query(`select pg_promote()`, nil, &promoted)
	if !promoted {
		w.t.Fatal("the standby was not promoted")
	}
}

func (w *world) exec(sql string) {
	w.t.Helper()
	conn := w.connect()
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), "set default_transaction_read_only = off"); err != nil {
		w.t.Fatal(err)
	}
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// goBackInTime is a failover to a standby that was behind: commits that were acknowledged are gone, with their checkpoints. One
// shard was done in between, so that the run has no attempt of it under way that could notice.
func goBackInTime(w *world, p *process, server *pgtest.Server) {
	goBack := server.Keep(w.t)
	const done = `select count(*) from ingestion_shards where state = 'done'`
	var before, after int
	w.query(done, nil, &before)
	for n := before; n == before; {
		w.query(done, nil, &n)
	}
	goBack()
	if w.query(done, nil, &after); after > before {
		w.t.Fatal("the shard is done, even so")
	}
}

// TestAKilledRunThroughAPooler: in session mode, a run that was killed is finished by the next one.
func TestAKilledRunThroughAPooler(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12_000, slow(30*time.Millisecond))
	direct := w.env[cli.EnvDatabase]
	w.env[cli.EnvDatabase] = pgtest.Bouncer(t, direct, "session")
	for range 2 {
		p := w.start("run", "--shards=4")
		w.waitFor(p, w.pages()+15)
		_ = p.Process.Signal(syscall.SIGKILL)
		<-p.exited
	}
	w.mustRun(cli.ExitOK, "run", "--shards=4")
	w.exact()
	w.mustRun(cli.ExitOK, "verify")
	w.env[cli.EnvDatabase] = pgtest.Bouncer(t, direct, "transaction")
	if r := w.mustRun(cli.ExitUnreachable, "verify"); !contains(r.stderr, "in transaction mode; PostgreSQL itself is at") {
		t.Errorf("through a pooler in transaction mode: %s", r.stderr)
	}
}
