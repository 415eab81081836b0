package migrations_test

import (
	"errors"
	"strings"
	"testing"

	"sluice/migrations"
)

const fits = `create table ingested_events (id uuid primary key, session_id uuid, user_id uuid, type text, name varchar(200),
  properties jsonb, "timestamp" timestamptz, device_type varchar(20), browser varchar, ingested_at timestamptz default now(), note text)`

func TestAnExistingEventsTable(t *testing.T) {
	tests := map[string]struct {
		setup  string
		faults []string // words of each fault; none means accepted
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
		"a column we cannot fill":       {fits + `; alter table ingested_events add column tenant text not null`, []string{"column tenant is not null and has no default"}},
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
					t.Errorf("fault %q does not contain %q", fault.Faults[i], words)
				}
			}
			// The statements of the error must really fix it.
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
