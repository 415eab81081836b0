package e2e

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
	"sluice/sink/pgtest"
)

// privilegeSQL returns the SQL of the paper, block by block.
func privilegeSQL(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/least-privilege.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, part := range strings.Split(string(text), "```sql\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of SQL, want 2", len(blocks))
	}
	return blocks
}

// as returns the same database for a role.
func (w *world) as(role string) string {
	u, err := url.Parse(w.env[cli.EnvDatabase])
	if err != nil {
		w.t.Fatal(err)
	}
	u.User = url.UserPassword(role, "roles-password")
	return u.String()
}

// TestLeastPrivilege runs a job from the first table to the replay of its dead letters with the two roles of the paper, made by
// its very SQL; and the second one can do nothing else.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, pgtest.Options{})
	if err := server.EnsureDatabase(t.Context(), "least"); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, 20_000, func(c *apisim.Config) { c.PageCap, c.MalformedShare = 500, 0.002 })
	w.env[cli.EnvDatabase] = server.URL("least")
	blocks, admin := privilegeSQL(t), w.env[cli.EnvDatabase]
	w.exec(blocks[0])
	w.exec(`alter role sluice_migrate password 'roles-password'; alter role sluice_run password 'roles-password'`)
	migrate, run := w.as("sluice_migrate"), w.as("sluice_run")

	w.env[cli.EnvDatabase] = run
	if r := w.mustRun(cli.ExitUnreachable, "doctor", "--no-api"); !contains(r.stdout, "sluice db migrate") {
		t.Errorf("before the tables are made, the doctor says\n%s", r.stdout)
	}
	w.env[cli.EnvDatabase] = migrate
	w.mustRun(cli.ExitOK, "db", "migrate")
	w.mustRun(cli.ExitOK, "db", "migrate")
	w.exec(blocks[1])

	w.env[cli.EnvDatabase] = run
	w.mustRun(cli.ExitOK, "doctor")
	w.mustRun(cli.ExitOK, "run", "--shards=4", "--max-dead-letters=5000")
	w.exact()
	w.env[cli.EnvDatabase] = admin
	w.exec(`delete from ingested_events where id in (select id from ingested_events order by timestamp limit 7)`)
	w.env[cli.EnvDatabase] = run
	w.mustRun(cli.ExitDoubt, "verify", "--repair")
	w.mustRun(cli.ExitOK, "run", "--max-dead-letters=5000") // through the staging table: most rows of the window are there
	for _, line := range []string{"run", "status", "verify", "dead-letters list", "dead-letters replay"} {
		if r := w.run(strings.Fields(line)...); contains(r.stderr, "42501") || contains(r.stderr, "permission denied") {
			t.Errorf("sluice %s:\n%s", line, r.stderr)
		}
	}
	w.mayNot(`delete from ingested_events`, `update ingested_events set name = 'x'`, `truncate ingested_events`, `drop table ingested_events`,
		`alter table ingested_events set unlogged`, `create table public.mine (n int)`, `delete from dead_letters`,
		`delete from ingestion_jobs`, `truncate ingestion_shards cascade`, `update sluice_migrations set version_id = 9`, `create schema mine`,
		`create role mine`, `select * from pg_authid`, `copy ingested_events to program 'cat'`, `create extension dblink`,
		`create trigger t before insert on ingested_events for each row execute function suppress_redundant_updates_trigger()`)
	w.env[cli.EnvDatabase] = admin
}

// mayNot checks that the server refuses each statement for want of privilege.
func (w *world) mayNot(statements ...string) {
	w.t.Helper()
	ctx := context.Background()
	conn := w.connect()
	defer conn.Close(ctx)
	for _, sql := range statements {
		_, err := conn.Exec(ctx, sql)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "42501" {
			w.t.Errorf("%s: %v, want insufficient privilege (42501)", sql, err)
		}
	}
}

// TestPasswordCommand: every command asks it for the password; a private server is none of its business.
func TestPasswordCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 500, nil)
	given, err := url.Parse(w.env[cli.EnvDatabase])
	if err != nil {
		t.Fatal(err)
	}
	password, _ := given.User.Password()
	direct := w.env[cli.EnvDatabase]
	w.env[cli.EnvDatabase] = asUser(t, direct, given.User.Username(), "of-yesterday")
	w.mustRun(cli.ExitUnreachable, "run")
	w.env[cli.EnvPasswordCommand] = "echo " + password
	for _, line := range []string{"doctor", "run", "status", "sync", "verify", "report", "plan", "db migrate", "dead-letters list"} {
		w.mustRun(cli.ExitOK, strings.Fields(line)...)
	}
	w.env[cli.EnvPasswordCommand] = "exit 1"
	if r := w.mustRun(cli.ExitUnreachable, "run"); !contains(r.stderr, "run DATABASE_PASSWORD_COMMAND by hand") {
		t.Errorf("the hint is another one:\n%s", r.stderr)
	}
	w.env[cli.EnvDatabase] = direct
}
