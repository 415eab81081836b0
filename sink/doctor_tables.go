package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"sluice/migrations"
)

func probeSchema(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	version, err := migrations.Version(ctx, conn)
	switch {
	case err == nil && version > migrations.Newest():
		newer := migrations.NewerError{Have: version, Want: migrations.Newest()}
		return Fail, newer.Error(), "use a newer sluice", nil
	case err == nil && version < migrations.Newest():
		return OK, fmt.Sprintf("version %d, the next run makes it %d", version, migrations.Newest()), "", nil
	}
	return OK, fmt.Sprintf("version %d", version), "", err
}

func probeEvents(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	err := migrations.CompareEvents(ctx, conn)
	var fault *migrations.IncompatibleError
	if errors.As(err, &fault) {
		return Fail, strings.Join(fault.Faults, "; "), strings.Join(fault.Alter, " "), nil
	}
	return OK, "fits, or is not there yet", "", err
}

func probeLogged(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	rows, _ := conn.Query(ctx, selectUnlogged)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if len(names) > 0 {
		return Fail, "not logged: " + strings.Join(names, ", "),
			fmt.Sprintf("a crash of the server empties them: alter table public.%s set logged;", names[0]), nil
	}
	return OK, "a crash empties none of them", "", err
}

const selectUnlogged = `
select relname::text from pg_catalog.pg_class
where relnamespace = 'public'::regnamespace and relkind = 'r' and relpersistence <> 'p' and relname = any('{` + tableNames + `}')
order by 1`

const tableNames = `ingested_events,ingestion_jobs,ingestion_shards,dead_letters,api_quotas`

// probeMissing looks for tables that somebody dropped: migrations that have run are not run again.
func probeMissing(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	var fault *migrations.MissingError
	err := migrations.CompareTables(ctx, conn)
	if errors.As(err, &fault) {
		return Fail, fault.What(), fault.Hint(), nil
	}
	return OK, "all there, or none yet", "", err
}

func probeTriggers(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	rows, _ := conn.Query(ctx, selectTriggers)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if len(names) > 0 {
		return Warn, strings.Join(names, ", "), "each of them runs for every row, and may change, refuse or swallow some", nil
	}
	return OK, "none on our tables", "", err
}

const selectTriggers = `
select t.tgname || ' on ' || c.relname from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
where c.relnamespace = 'public'::regnamespace and c.relname = any('{` + tableNames + `}') and not t.tgisinternal and t.tgenabled <> 'D'
order by 1`

// probeRules: a COPY passes rules by, and the staging table's insert cannot be made on a table that has some.
func probeRules(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	rows, _ := conn.Query(ctx, selectRules)
	names, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if len(names) > 0 {
		rule, on := names[0][0], names[0][1]
		return Fail, fmt.Sprintf("rule %s on %s", rule, on),
			fmt.Sprintf("rows that are read again could not be stored: drop rule %s on public.%s;", pgx.Identifier{rule}.Sanitize(), on), nil
	}
	return OK, "none on our tables", "", err
}

const selectRules = `
select array[r.rulename, c.relname]::text[] from pg_catalog.pg_rewrite r join pg_catalog.pg_class c on c.oid = r.ev_class
where c.relnamespace = 'public'::regnamespace and c.relname = any('{` + tableNames + `}') and r.ev_type <> '1' and r.ev_enabled <> 'D'
order by 1`

func probeRowSecurity(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	var active bool
	err := conn.QueryRow(ctx, selectRowSecurity).Scan(&active)
	if err == nil && active {
		return Fail, "applies to ingested_events", "a COPY refuses such a table: use its owner, or a role with bypassrls", nil
	}
	return OK, "not in the way", "", err
}

const selectRowSecurity = `
select coalesce(bool_or(row_security_active(oid)), false) from pg_catalog.pg_class
where oid = to_regclass('public.ingested_events')`
