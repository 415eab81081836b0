package migrations_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/migrations"
	"sluice/sink/pgtest"
)

func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pgtest.Database(t))
	must(t, err)
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func up(t *testing.T, conn *pgx.Conn) error {
	return migrations.Up(t.Context(), conn.Config(), slog.New(slog.NewTextHandler(t.Output(), nil)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestUpTwiceAndAtTheSameTime(t *testing.T) {
	conn := connect(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := up(t, conn); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	must(t, up(t, conn))
	version, err := migrations.Version(t.Context(), conn)
	must(t, err)
	if version != migrations.Newest() || version == 0 {
		t.Errorf("version %d, want %d", version, migrations.Newest())
	}
}

func TestUpRefusesANewerSchema(t *testing.T) {
	conn := connect(t)
	must(t, up(t, conn))
	_, err := conn.Exec(t.Context(), `insert into sluice_migrations (version_id, is_applied) values (9999, true)`)
	must(t, err)
	var newer *migrations.NewerError
	if err := up(t, conn); !errors.As(err, &newer) || newer.Have != 9999 {
		t.Errorf("got %v, want a NewerError", err)
	}
}

// A name of ours that is taken is found before anything is made, and the advice makes room.
func TestUpRefusesTakenNames(t *testing.T) {
	for name, taken := range map[string]string{
		"a table":             `create table api_quotas (mine text)`,
		"a table as wide":     `create table dead_letters (id bigint, job_id bigint, shard_id bigint, raw bytea)`,
		"a view":              `create view ingestion_jobs as select 1`,
		"two of them":         `create table ingestion_doubts (); create sequence ingestion_rounds`,
		"an index":            `create table mine (n int); create index dead_letters_shard_id_idx on mine (n)`,
		"a type":              `create type ingestion_shards as enum ('a')`,
		"the migrations' own": `create table sluice_migrations (n int)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t)
			_, err := conn.Exec(t.Context(), taken)
			must(t, err)
			before := tables(t, conn)
			var fault *migrations.ForeignError
			if err := up(t, conn); !errors.As(err, &fault) {
				t.Fatalf("got %v, want a ForeignError", err)
			}
			if n := tables(t, conn); n != before {
				t.Errorf("%d tables were made", n-before)
			}
			for _, rename := range fault.Rename {
				_, err = conn.Exec(t.Context(), rename)
				must(t, err)
			}
			must(t, up(t, conn))
		})
	}
}

// A migration of a later program refuses, too, what an older one left free.
func TestUpRefusesANameThatWasFreeBefore(t *testing.T) {
	conn := connect(t)
	must(t, up(t, conn))
	_, err := conn.Exec(t.Context(), `delete from sluice_migrations where version_id >= 6`)
	must(t, err)
	var fault *migrations.ForeignError
	if err := up(t, conn); !errors.As(err, &fault) || fault.Names[0] != "ingestion_doubts" {
		t.Errorf("got %v, want a ForeignError about ingestion_doubts", err)
	}
}

// The list of columns is that of the migrations.
func TestLedgerColumns(t *testing.T) {
	conn := connect(t)
	must(t, up(t, conn))
	rows, _ := conn.Query(t.Context(), `
select c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relname = any($1) and c.relname <> 'ingested_events' and a.attnum > 0`, migrations.Tables)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	for _, one := range all {
		table, column, _ := strings.Cut(one, ".")
		rename := `alter table ` + table + ` rename column ` + column + ` to `
		_, err := conn.Exec(t.Context(), rename+"elsewhere")
		must(t, err)
		var fault *migrations.MissingError
		if err := migrations.CompareTables(t.Context(), conn); !errors.As(err, &fault) || !slices.Contains(fault.Missing, one) {
			t.Errorf("%s is gone: got %v", one, err)
		}
		_, err = conn.Exec(t.Context(), `alter table `+table+` rename column elsewhere to `+column)
		must(t, err)
	}
	must(t, up(t, conn))
}

// All lives in the schema of the session, whatever its name, and two starts at once make it once.
func TestUpMakesASchema(t *testing.T) {
	const name = `Ev"il, public; ä`
	conn := connect(t)
	config := conn.Config()
	config.RuntimeParams["search_path"] = pgx.Identifier{name}.Sanitize()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := migrations.Up(t.Context(), config, slog.New(slog.NewTextHandler(t.Output(), nil))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var inside, outside int
	must(t, conn.QueryRow(t.Context(), `
select count(*) filter (where nspname = $1), count(*) filter (where nspname <> $1)
from pg_class c join pg_namespace n on n.oid = relnamespace
where nspname not in ('pg_catalog', 'pg_toast', 'information_schema') and relkind = 'r'`, name).Scan(&inside, &outside))
	if inside != len(migrations.Tables)+1 || outside != 0 {
		t.Errorf("%d tables inside the schema, %d elsewhere", inside, outside)
	}
}

func TestTheDatabaseHoldsTheLaw(t *testing.T) {
	conn := connect(t)
	must(t, up(t, conn))
	_, err := conn.Exec(t.Context(), `
insert into ingestion_jobs (name, source, span_start, span_end, shards, rows_before) values ('j', 's', '-infinity', 'infinity', 1, 0);
insert into ingestion_shards (job_id, round, shard, window_start, window_end) values (1, 1, 1, '-infinity', 'infinity')`)
	must(t, err)
	for _, broken := range []string{
		`received = 2, events = 1`, `received = 0, events = 1, duplicates = -1`, `state = 'finished'`, `state = 'done'`,
		`resume_at = now()`, `end_proof = 'hope'`, `window_end = '-infinity'`,
	} {
		if _, err := conn.Exec(t.Context(), `update ingestion_shards set `+broken); err == nil {
			t.Errorf("the database took %s", broken)
		}
	}
}

// The connection is cut at the first request of a migration, at the second, and so on to the last. Each time either none of our
// tables exist or all of them, and the next start completes the work.
func TestAMigrationCutAtEachStep(t *testing.T) {
	conn := connect(t)
	proxy := pgtest.NewProxy(t, conn.Config().ConnString())
	through, err := pgx.ParseConfig(proxy.URL())
	must(t, err)
	steps := 0
	defer func() { t.Logf("%d cuts", steps) }()
	for step := 1; ; step++ {
		_, err := conn.Exec(t.Context(), `drop schema public cascade; create schema public`)
		must(t, err)
		proxy.CutAfter(step)
		cutErr := migrations.Up(t.Context(), through, slog.New(slog.DiscardHandler))
		if proxy.Cuts() < step {
			must(t, cutErr)
			if step < 10 {
				t.Errorf("a migration has only %d requests", step-1)
			}
			return
		}
		alone(t, conn)
		present := tables(t, conn)
		if present != 0 && present != 1 && present < 6 { // 1: goose's own; 6: those of the first migration, and later ones add
			t.Errorf("cut at request %d: %d of 8 tables are there", step, present)
		}
		must(t, up(t, conn))
		must(t, migrations.CompareTables(t.Context(), conn))
		steps++
	}
}

// alone waits until the server has noticed the cut.
func alone(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for others := 1; others > 0; {
		must(t, conn.QueryRow(t.Context(), `
select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`).Scan(&others))
	}
}

func tables(t *testing.T, conn *pgx.Conn) (n int) {
	t.Helper()
	must(t, conn.QueryRow(t.Context(), `select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`).Scan(&n))
	return n
}
