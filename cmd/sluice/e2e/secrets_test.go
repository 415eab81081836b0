package e2e

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/cli"

	"github.com/jackc/pgx/v5"
)

// guard looks for the key, the tokens and the database's password where they must not be.
func (w *world) guard(what, text string) {
	w.t.Helper()
	for kind, secrets := range map[string][]string{
		"key": {w.env[cli.EnvKey], canary}, "token": w.sim.Tokens(), "password": {passwordOf(w.env[cli.EnvDatabase])},
	} {
		for _, secret := range secrets {
			if i := strings.Index(text, secret); i >= 0 && len(secret) >= 6 {
				w.t.Errorf("the %s is in %s: …%s…", kind, what, text[max(0, i-100):i])
			}
		}
	}
}

func passwordOf(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		return ""
	}
	password, _ := u.User.Password()
	return password
}

// guardTables looks through everything that a run writes beside the events. A database that a test has put in place of the
// world's own, own, may be gone by now, or never have been one.
func (w *world) guardTables(own string) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, w.env[cli.EnvDatabase])
	if err != nil {
		if w.env[cli.EnvDatabase] == own {
			w.t.Error(err)
		}
		return
	}
	defer conn.Close(ctx)
	for _, table := range []string{"ingestion_jobs", "ingestion_shards", "api_quotas", "dead_letters"} {
		var text *string
		err := conn.QueryRow(ctx, `select string_agg(t::text, ' ') from (select * from `+table+` limit 1000) t`).Scan(&text)
		if err == nil && text != nil { // a test may have broken the table, or the run not have made it
			w.guard("table "+table, *text)
		}
	}
}

// TestTheGuardSeesSecrets: a guard that finds nothing would pass every test.
func TestTheGuardSeesSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5_000, nil)
	w.mustRun(cli.ExitOK, "run")
	if len(w.sim.Tokens()) == 0 {
		t.Fatal("no token was given out: the guard has none to look for")
	}
	for _, secret := range []string{canary, w.sim.Tokens()[0], passwordOf(w.env[cli.EnvDatabase])} {
		seen := &world{t: &testing.T{}, sim: w.sim, env: w.env}
		seen.guard("a text", "so "+secret+" it is")
		if !seen.t.Failed() {
			t.Errorf("%.4s… was not seen", secret)
		}
	}
}

// TestASecretAsAFlagIsRefusedWithoutSayingIt: what is on a command line is in everybody's list of processes.
func TestASecretAsAFlagIsRefusedWithoutSayingIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10, nil)
	for _, flag := range []string{"--api-key", "--key", "--target-api-key", "--database-url", "--password"} {
		for _, args := range [][]string{{"run", flag + "=" + canary}, {"run", flag, canary}} {
			w.mustRun(cli.ExitUsage, args...) // which looks for the key in what it prints
		}
	}
	w.mustRun(cli.ExitUsage, "run", canary)
	w.mustRun(cli.ExitUsage, canary)
}

// TestNamesAreValues: whatever a job is called, no text of the operator becomes SQL.
func TestNamesAreValues(t *testing.T) {
	t.Parallel()
	for _, name := range []string{`a";drop table ingested_events;--`, `'; drop table ingested_events; --`, "$1 %s Ω\t/*" + strings.Repeat("n", 52)} {
		w := newWorld(t, 3_000, nil)
		w.mustRun(cli.ExitOK, "run", "--shards=2", "--job="+name)
		w.exact()
		var found int
		w.query(`select count(*) from ingestion_jobs where name = $1`, []any{name}, &found)
		if found != 1 {
			t.Errorf("%d jobs are called %q", found, name)
		}
		w.mustRun(cli.ExitOK, "status", "--job="+name)
		w.mustRun(cli.ExitOK, "verify", "--job="+name)
	}
}

// TestAPasswordThatCannotBeParsedIsPrintedNowhere: the URLs are those of faults.md, kind 24. Every command that reads
// DATABASE_URL names the character to encode and repeats no part of the password, as text and as JSON.
func TestAPasswordThatCannotBeParsedIsPrintedNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10, nil)
	for _, given := range []string{
		"postgres://app:12/34secret@db.invalid/x", "postgres://app:12@34secret@db.invalid/x", "postgres://app:p@ss:w/34secret#1%@db.invalid/x",
		"postgres://app:12#34secret@db.invalid/x", "postgres://app:12?34secret@db.invalid/x", `"postgres://app:34secret@db.invalid/x?a=b"`,
		"host=db.invalid password=12 34secret",
	} {
		for _, command := range [][]string{
			{"run"}, {"run", "--json"}, {"sync"}, {"follow", "--json"}, {"backfill", "--from=2026-01-01", "--to=2026-01-02"}, {"plan"}, {"status"}, {"status", "--json"}, {"verify"},
			{"verify", "--repair", "--json"}, {"report"}, {"doctor"}, {"doctor", "--json"}, {"dead-letters", "list"}, {"dead-letters", "replay"}, {"db", "migrate"},
		} {
			w.env[cli.EnvDatabase] = given
			r := w.mustRun(cli.ExitUsage, command...)
			if text := r.stdout + r.stderr; strings.Contains(text, "34secret") || strings.Contains(text, "app:12") {
				t.Errorf("%v with %s printed\n%s", command, given, text)
			}
		}
	}
}
