package migrations

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// MissingError says that tables were dropped after the migrations that made them.
type MissingError struct {
	Missing, Left []string
}

func (e *MissingError) Error() string { return e.What() + "; " + e.Hint() }

// What says what is wrong.
func (e *MissingError) What() string {
	return fmt.Sprintf("the migrations have run, but these tables are missing: %s", strings.Join(e.Missing, ", "))
}

// Hint says how to mend it.
func (e *MissingError) Hint() string {
	return fmt.Sprintf("restore them from a backup; or begin anew: drop table public.%s cascade;", strings.Join(append(e.Left, table), ", public."))
}

// ours are the tables that the migrations make.
var ours = []string{"ingested_events", "ingestion_jobs", "ingestion_rounds", "ingestion_shards", "dead_letters", "api_quotas"}

// CompareTables makes sure that a database which is up to date has all the tables: otherwise *[MissingError].
func CompareTables(ctx context.Context, db Querier) error {
	version, err := Version(ctx, db)
	if err != nil || version < Newest() {
		return err
	}
	rows, _ := db.Query(ctx, selectPresent, ours)
	present, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	fault := &MissingError{}
	for i, there := range present {
		switch {
		case !there:
			fault.Missing = append(fault.Missing, ours[i])
		case ours[i] != "ingested_events":
			fault.Left = append(fault.Left, ours[i])
		}
	}
	if err != nil || len(fault.Missing) == 0 {
		return wrap("look for the tables", err)
	}
	return fault
}

const selectPresent = `
select to_regclass('public.' || t.name) is not null from unnest($1::text[]) with ordinality t(name, n) order by n`
