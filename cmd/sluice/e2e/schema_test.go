package e2e

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
	"sluice/sink"
)

// hostileSchema has every character that SQL, a URL or a list of schemas takes for its own.
const hostileSchema = `Ev"il, public; 'ä' \ $1`

// in gives the program a schema, and the questions of the test too.
func (w *world) in(schema string) {
	database, _, _ := strings.Cut(w.env[cli.EnvDatabase], "&search_path=")
	w.env[cli.EnvDatabase] = database + "&search_path=" + url.PathEscape(sink.QuoteName(schema))
	w.env["SLUICE_SCHEMA"] = schema
}

// TestSchema: a whole life in a schema of its own, beside tables of others by the names of ours. Nothing is made or changed in
// public, and a job of the same name in another schema is another job.
func TestSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3_000, func(c *apisim.Config) { c.PageCap = 200 })
	w.exec(`create table dead_letters (letter text); create table ingestion_jobs (id int); create view ingested_events as select 1 as id`)
	public := func() int64 {
		return w.number(`select count(*) from pg_catalog.pg_class where relnamespace = 'public'::regnamespace`)
	}
	before := public()
	if r := w.mustRun(cli.ExitUnreachable, "doctor", "--no-api"); !contains(r.stdout, "schema public has ingestion_jobs, dead_letters") || !contains(r.stdout, "--schema=sluice") {
		t.Errorf("doctor does not say what is in the way:\n%s", r.stdout)
	}
	if r := w.mustRun(cli.ExitUsage, "run"); !contains(r.stderr, "schema public has ingestion_jobs, dead_letters, which Sluice did not make") || public() != before || w.pages() > 0 {
		t.Errorf("%d relations are new in public, %d pages were read:\n%s", public()-before, w.pages(), r.stderr)
	}
	for _, schema := range []string{hostileSchema, "other"} {
		w.in(schema)
		w.mustRun(cli.ExitOK, "doctor", "--no-api")
		w.mustRun(cli.ExitUsage, "status")
		w.mustRun(cli.ExitOK, "run", "--shards=3")
		w.exact()
		w.mustRun(cli.ExitOK, "doctor", "--no-api")
	}
	w.in(hostileSchema)
	w.exec(`delete from ingested_events where id in (select id from ingested_events order by id limit 100)`)
	delete(w.env, "SLUICE_SCHEMA")
	given := "--schema=" + hostileSchema
	found := w.mustRun(cli.ExitDoubt, "verify", given)
	if !contains(found.stderr, "`sluice verify --schema='"+strings.ReplaceAll(hostileSchema, "'", `'\''`)+"' --repair`") {
		t.Errorf("the advice is for another schema:\n%s", found.stderr)
	}
	w.mustRun(cli.ExitDoubt, "verify", "--repair", given)
	w.mustRun(cli.ExitOK, "run", given)
	w.exact()
	w.unlearn(100)
	for _, args := range [][]string{{"dead-letters", "list"}, {"dead-letters", "replay"}, {"sync"}, {"verify"}, {"status"}, {"report"}, {"db", "migrate"}} {
		w.mustRun(cli.ExitOK, append(args, given)...)
	}
	if r := w.mustRun(cli.ExitUsage, "status", "--schema=nothing"); !contains(r.stderr, `in schema "nothing" of this database`) {
		t.Errorf("status does not name the schema:\n%s", r.stderr)
	}
	for _, name := range []string{"pg_catalog", "$user", strings.Repeat("x", 64)} {
		w.mustRun(cli.ExitUsage, "run", "--schema="+name)
	}
	w.in("other")
	w.exact()
	w.mustRun(cli.ExitOK, "verify")
	w.in("public")
	if public() != before {
		t.Errorf("%d relations are new in public", public()-before)
	}
}

// TestNoStatementNamesASchema: that of the session is the only one.
func TestNoStatementNamesASchema(t *testing.T) {
	t.Parallel()
	qualified := regexp.MustCompile(`\bpublic\.[a-z_]+`)
	for _, pattern := range []string{"../../../sink/*.go", "../../../sink/doctor/*.go", "../../../migrations/*.go", "../../../migrations/sql/*.sql"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if found := qualified.Find(text); found != nil && !strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s has %q: leave out the schema", file, found)
			}
		}
	}
}
