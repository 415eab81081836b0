package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"sluice/migrations"
)

func probeSchema(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	version, err := migrations.Version(ctx, conn)
	newest := migrations.Newest()
	switch {
	case err == nil && version > newest:
		newer := migrations.NewerError{Have: version, Want: newest}
		return fail(newer.Error(), "use a newer sluice"), nil
	case err == nil && version < newest:
		return ok(fmt.Sprintf("version %d, the next run upgrades it to %d", version, newest)), nil
	}
	return ok(fmt.Sprintf("version %d", version)), err
}

func probeEvents(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	err := migrations.CompareEvents(ctx, conn)
	if fault, ok := errors.AsType[*migrations.IncompatibleError](err); ok {
		return fail(strings.Join(fault.Faults, "; "), strings.Join(fault.Alter, " ")), nil
	}
	return ok("fits, or is not there yet"), err
}

// probeNames looks for what is in the way of our tables. A run refuses that when it migrates.
func probeNames(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	return compared(migrations.CompareNames(ctx, conn), "ours, or free")
}

// probeMissing looks for dropped tables: migrations that have run are not run again.
func probeMissing(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	return compared(migrations.CompareTables(ctx, conn), "all there, or none yet")
}

// compared is what a comparison of package migrations has found.
func compared(err error, fine string) (Finding, error) {
	var fault interface {
		What() string
		Hint() string
	}
	if errors.As(err, &fault) {
		return fail(fault.What(), fault.Hint()), nil
	}
	return ok(fine), err
}

func probeLogged(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	names, err := column[string](ctx, conn, selectUnlogged, migrations.Tables)
	if len(names) > 0 {
		return fail("not logged: "+strings.Join(names, ", "),
			fmt.Sprintf("a crash of the server empties them: alter table %s set logged;", names[0])), nil
	}
	return ok("a crash empties none of them"), err
}

// ourTables are those of a list that are there, with their schema.
const ourTables = `
unnest($1::text[]) o(name) join pg_catalog.pg_class c on c.oid = to_regclass(o.name) join pg_catalog.pg_namespace n on n.oid = c.relnamespace`

const selectUnlogged = `
select format('%I.%I', n.nspname, c.relname) from ` + ourTables + `
where c.relkind = 'r' and c.relpersistence <> 'p'
order by 1`

func probeTriggers(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	names, err := column[string](ctx, conn, selectTriggers, migrations.Tables)
	if len(names) > 0 {
		return warn(strings.Join(names, ", "), "each of them runs for every row, and may change, refuse or swallow some"), nil
	}
	return ok("none on our tables"), err
}

const selectTriggers = `
select t.tgname || ' on ' || c.relname from ` + ourTables + ` join pg_catalog.pg_trigger t on t.tgrelid = c.oid
where not t.tgisinternal and t.tgenabled <> 'D'
order by 1`

// probeRules: a COPY bypasses rules, and the staging table's insert is impossible on a table that has some.
func probeRules(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	names, err := column[[]string](ctx, conn, selectRules, migrations.Tables)
	if len(names) > 0 {
		rule, on, table := names[0][0], names[0][1], names[0][2]
		return fail(fmt.Sprintf("rule %s on %s", rule, on),
			fmt.Sprintf("rows that are read again could not be stored: drop rule %s on %s;", pgx.Identifier{rule}.Sanitize(), table)), nil
	}
	return ok("none on our tables"), err
}

const selectRules = `
select array[r.rulename::text, c.relname::text, format('%I.%I', n.nspname, c.relname)]
from ` + ourTables + ` join pg_catalog.pg_rewrite r on r.ev_class = c.oid
where r.ev_type <> '1' and r.ev_enabled <> 'D'
order by 1`

func probeRowSecurity(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	var active bool
	err := conn.QueryRow(ctx, selectRowSecurity).Scan(&active)
	if err == nil && active {
		return fail("applies to ingested_events", "a COPY refuses such a table: use its owner, or a role with bypassrls"), nil
	}
	return ok("not in the way"), err
}

const selectRowSecurity = `
select coalesce(bool_or(row_security_active(oid)), false) from pg_catalog.pg_class
where oid = to_regclass('ingested_events')`

// column returns the only column of a query.
func column[T any](ctx context.Context, conn *pgx.Conn, sql string, args ...any) ([]T, error) {
	rows, _ := conn.Query(ctx, sql, args...)
	return pgx.CollectRows(rows, pgx.RowTo[T])
}
