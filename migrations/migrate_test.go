package migrations_test

import (
	"context"
	"errors"
	"log/slog"
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

func TestUpLeavesNothingWhereAMigrationFails(t *testing.T) {
	conn := connect(t)
	_, err := conn.Exec(t.Context(), `create table api_quotas (mine text)`) // stands in the way of the last statement
	must(t, err)
	if err := up(t, conn); err == nil {
		t.Fatal("migrated over a foreign table")
	}
	var there bool
	must(t, conn.QueryRow(t.Context(), `select to_regclass('ingestion_jobs') is not null`).Scan(&there))
	if there {
		t.Error("half of a migration stayed")
	}
	_, err = conn.Exec(t.Context(), `drop table api_quotas`)
	must(t, err)
	must(t, up(t, conn))
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

const fits = `create table ingested_events (id uuid primary key, session_id uuid, user_id uuid, type text, name varchar(200),
  properties jsonb, "timestamp" timestamptz, device_type varchar(20), browser varchar, ingested_at timestamptz default now(), note text)`

func TestAnEventsTableThatIsThereAlready(t *testing.T) {
	tests := map[string]struct {
		setup  string
		faults []string // words of each fault; none: accepted
	}{
		"as ours, wider and with more":  {fits, nil},
		"an own column that is filled":  {fits + `; alter table ingested_events add column n bigint generated always as identity`, nil},
		"unique index instead of a key": {fits + `; alter table ingested_events drop constraint ingested_events_pkey; create unique index on ingested_events (id)`, nil},
		"no key":                        {fits + `; alter table ingested_events drop constraint ingested_events_pkey`, []string{"id is not unique"}},
		"partial key":                   {fits + `; alter table ingested_events drop constraint ingested_events_pkey; create unique index on ingested_events (id) where note is null`, []string{"id is not unique"}},
		"key of two columns":            {fits + `; alter table ingested_events drop constraint ingested_events_pkey, add primary key (id, "timestamp")`, []string{"id is not unique"}},
		"deferrable key":                {fits + `; alter table ingested_events drop constraint ingested_events_pkey, add unique (id) deferrable`, []string{"id is not unique"}},
		"not logged":                    {strings.Replace(fits, "create", "create unlogged", 1), []string{"not logged"}},
		"too narrow":                    {strings.Replace(fits, "name varchar(200)", "name varchar(99)", 1), []string{"column name is varchar(99)"}},
		"json":                          {strings.Replace(fits, "jsonb", "json", 1), []string{"column properties is json"}},
		"timestamp without zone":        {strings.Replace(fits, `"timestamp" timestamptz`, `"timestamp" timestamp`, 1), []string{"column timestamp is timestamp,"}},
		"timestamp that rounds":         {strings.Replace(fits, `"timestamp" timestamptz`, `"timestamp" timestamptz(3)`, 1), []string{"column timestamp is timestamptz(3)"}},
		"text id, and a missing column": {strings.Replace(strings.Replace(fits, "id uuid primary", "id text primary", 1), "browser varchar,", "", 1), []string{"column id is text", "column browser is missing"}},
		"a column we cannot fill":       {fits + `; alter table ingested_events add column tenant text not null`, []string{"column tenant must be filled"}},
		"ingested_at is missing":        {strings.Replace(fits, "ingested_at timestamptz default now(),", "", 1), []string{"column ingested_at is missing"}},
		"ingested_at without a default": {strings.Replace(fits, "default now()", "not null", 1), []string{"ingested_at has no default"}},
		"generated":                     {strings.Replace(fits, "type text", "type text generated always as ('x') stored", 1), []string{"column type is generated"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			conn := connect(t)
			_, err := conn.Exec(t.Context(), test.setup)
			must(t, err)
			err = up(t, conn)
			if len(test.faults) == 0 {
				must(t, err)
				return
			}
			var fault *migrations.IncompatibleError
			if !errors.As(err, &fault) || len(fault.Faults) != len(test.faults) {
				t.Fatalf("got %v, want %q", err, test.faults)
			}
			for i, words := range test.faults {
				if !strings.Contains(fault.Faults[i], words) {
					t.Errorf("fault %q does not say %q", fault.Faults[i], words)
				}
			}
			// What the error says to run must really mend it.
			for _, alter := range fault.Alter {
				_, err := conn.Exec(t.Context(), alter)
				must(t, err)
			}
			must(t, up(t, conn))
		})
	}
}

func TestAViewIsRefused(t *testing.T) {
	conn := connect(t)
	_, err := conn.Exec(t.Context(), `create view ingested_events as select 1 as id`)
	must(t, err)
	var fault *migrations.IncompatibleError
	if err := up(t, conn); !errors.As(err, &fault) {
		t.Errorf("got %v, want an IncompatibleError", err)
	}
}
