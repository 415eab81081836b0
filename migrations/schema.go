package migrations

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
)

// Schema is where the tables are: the search_path of a session names no other, and no statement does.
type Schema struct {
	Name          string // as SQL writes it, quoted if it must be
	Exists        bool
	Usage, Create bool // what our role may do there
}

// FindSchema looks at the schema of a session.
func FindSchema(ctx context.Context, db Querier) (s Schema, err error) {
	err = db.QueryRow(ctx, selectSchema).Scan(&s.Name, &s.Exists, &s.Usage, &s.Create)
	return s, wrap("look at the schema", err)
}

// A schema that the role may not use is none of the path.
const selectSchema = `
select coalesce(quote_ident(n.nspname), p.path), n.oid is not null,
       coalesce(has_schema_privilege(n.oid, 'usage'), false), coalesce(has_schema_privilege(n.oid, 'create'), false)
from (select current_setting('search_path') as path) p
left join pg_catalog.pg_namespace n on n.nspname = current_schema()
  or current_schema() is null and p.path in (n.nspname::text, '"' || replace(n.nspname, '"', '""') || '"')`

// SchemaError means that our role may not use the schema.
type SchemaError struct{ Schema, Role string }

func (e *SchemaError) Error() string { return e.Role + " may not use schema " + e.Schema }

// Hint says how to fix it.
func (e *SchemaError) Hint() string {
	return "grant usage on schema " + e.Schema + " to " + pgx.Identifier{e.Role}.Sanitize() + ";"
}

// CheckSchema returns a *[SchemaError] if the schema exists and may not be used: its tables then look as if they were not there.
func CheckSchema(ctx context.Context, conn *pgx.Conn) error {
	s, err := FindSchema(ctx, conn)
	if err != nil || s.Usage || !s.Exists {
		return err
	}
	return &SchemaError{s.Name, conn.Config().User}
}

// makeSchema makes the schema if there is none. Another start may be doing the same.
func makeSchema(ctx context.Context, cfg *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	s, err := FindSchema(ctx, conn)
	if err != nil || s.Exists {
		return err
	}
	if _, err = conn.Exec(ctx, "create schema if not exists "+s.Name); err != nil {
		if now, again := FindSchema(ctx, conn); again == nil && now.Exists {
			return nil
		}
	}
	return wrap("make schema "+s.Name, err)
}

// ForeignError means that something has the name of a table or index that the migrations have not made yet.
type ForeignError struct {
	Schema string
	Names  []string
	Rename []string // SQL statements that make room
}

func (e *ForeignError) Error() string { return e.What() + "; " + e.Hint() }

// What names what is in the way.
func (e *ForeignError) What() string {
	return fmt.Sprintf("schema %s has %s, which Sluice did not make", e.Schema, strings.Join(e.Names, ", "))
}

// Hint says what to do.
func (e *ForeignError) Hint() string {
	return "give Sluice's tables a schema of their own, such as --schema=sluice, or make room: " + strings.Join(e.Rename, " ")
}

// CompareNames makes sure that nothing has the name of what the migrations will make; otherwise the error is a *[ForeignError].
func CompareNames(ctx context.Context, db Querier) error {
	version, err := Version(ctx, db)
	if err != nil {
		return err
	}
	return compareNames(ctx, db, namesAfter(version))
}

func compareNames(ctx context.Context, db Querier, names []string) error {
	var fault ForeignError
	err := db.QueryRow(ctx, selectTaken, names).Scan(&fault.Names, &fault.Rename)
	if err != nil || len(fault.Names) == 0 {
		return wrap("look for the names of our tables", err)
	}
	schema, err := FindSchema(ctx, db)
	if err != nil {
		return err
	}
	fault.Schema = schema.Name
	return &fault
}

// Each table is a type, too.
const selectTaken = `
select coalesce(array_agg(t.name order by t.n), '{}'),
       coalesce(array_agg(format('alter %s %I.%I rename to %I;', case when c.oid is null then 'type' else 'table' end, s.nspname, t.name,
         left(t.name, 50) || '_before') order by t.n), '{}')
from unnest($1::text[]) with ordinality t(name, n)
left join pg_catalog.pg_class c on c.oid = to_regclass(t.name)
left join pg_catalog.pg_type y on y.oid = to_regtype(t.name)
join pg_catalog.pg_namespace s on s.oid = coalesce(c.relnamespace, y.typnamespace)`

var made = regexp.MustCompile(`(?m)^create (?:unique )?(?:table|index) ([a-z_]+)`)

// namesAfter returns the names of what later migrations make; ingested_events may be there before.
func namesAfter(version int64) []string {
	names := []string{}
	all, _ := fs.Glob(files, "sql/*.sql") // the pattern is a constant and valid
	for _, name := range slices.Sorted(slices.Values(all)) {
		if n, err := goose.NumericComponent(name); err == nil && n > version {
			text, _ := files.ReadFile(name)
			for _, m := range made.FindAllStringSubmatch(string(text), -1) {
				names = append(names, m[1])
			}
		}
	}
	return names
}
