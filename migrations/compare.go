package migrations

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// IncompatibleError says why an existing ingested_events cannot hold our rows, and how to fix it.
type IncompatibleError struct {
	Schema string   // that the table is in, as SQL writes it
	Faults []string // whole sentences
	Alter  []string // SQL statements, in the order to run them
}

func (e *IncompatibleError) Error() string {
	msg := "the existing table ingested_events does not fit: " + strings.Join(e.Faults, "; ")
	if len(e.Alter) == 0 {
		return msg
	}
	return msg + "\nfix it with:\n  " + strings.Join(e.Alter, "\n  ")
}

// want is a column of Tables.
type want struct {
	name string
	kind string // pg_type name of what the COPY sends
	text int    // for text: characters that must fit; 0 for other kinds
	ddl  string
}

var wanted = [...]want{
	{"id", "uuid", 0, "uuid"},
	{"session_id", "uuid", 0, "uuid"},
	{"user_id", "uuid", 0, "uuid"},
	{"type", "text", 50, "varchar(50)"},
	{"name", "text", 100, "varchar(100)"},
	{"properties", "jsonb", 0, "jsonb"},
	{"timestamp", "timestamptz", 0, "timestamptz"},
	{"device_type", "text", 20, "varchar(20)"},
	{"browser", "text", 50, "varchar(50)"},
	{"ingested_at", "timestamptz", 0, "timestamptz"},
}

// column is a column of the table.
type column struct {
	Name       string
	Kind       string
	Modifier   int32 // pg_attribute.atttypmod
	NotNull    bool
	HasDefault bool // a default, an identity or an expression
	Generated  bool // the value cannot be given
}

// CompareEvents checks whether an existing ingested_events can hold everything we write; it is no error if there is none. Columns
// may be wider than Tables or nullable, and there may be more, as long as we need not fill them. Otherwise the error is an
// *[IncompatibleError].
func CompareEvents(ctx context.Context, db Querier) error {
	var oid *uint32
	var kind, persistence string
	var children []string
	err := db.QueryRow(ctx, selectTable).Scan(&oid, &kind, &persistence, &children)
	if err != nil || oid == nil {
		return wrap("look for ingested_events", err)
	}
	schema, err := FindSchema(ctx, db)
	if err != nil {
		return err
	}
	fault := &IncompatibleError{Schema: schema.Name}
	if fault.table(kind, persistence, children); len(fault.Faults) > 0 {
		return fault
	}
	rows, _ := db.Query(ctx, selectColumns, *oid)
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		return wrap("read the columns of ingested_events", err)
	}
	fault.columns(columns)
	var unique bool
	if err := db.QueryRow(ctx, selectKey, *oid).Scan(&unique); err != nil {
		return wrap("read the indexes of ingested_events", err)
	}
	if !unique {
		fault.add("id is not unique by itself (a valid index, not partial, not deferrable)",
			`create unique index on `+fault.events()+` (id);`)
	}
	if len(fault.Faults) > 0 {
		return fault
	}
	return nil
}

const selectTable = `
select c.oid, coalesce(c.relkind::text, ''), coalesce(c.relpersistence::text, ''),
       array(select inhrelid::regclass::text from pg_catalog.pg_inherits where inhparent = c.oid order by 1)
from (select to_regclass('ingested_events') as oid) t
left join pg_catalog.pg_class c on c.oid = t.oid`

const selectColumns = `
select a.attname::text, t.typname::text, a.atttypmod, a.attnotnull, a.atthasdef or a.attidentity <> '',
       a.attgenerated <> '' or a.attidentity = 'a'
from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
order by a.attnum`

const selectKey = `
select exists (
  select from pg_catalog.pg_index i join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
  where i.indrelid = $1 and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null
    and i.indnkeyatts = 1 and a.attname = 'id')`

func (e *IncompatibleError) events() string { return e.Schema + ".ingested_events" }

func (e *IncompatibleError) add(fault string, alter ...string) {
	e.Faults = append(e.Faults, fault)
	e.Alter = append(e.Alter, alter...)
}

func (e *IncompatibleError) table(kind, persistence string, children []string) {
	switch {
	case kind != "r":
		e.add("it is not an ordinary table", "alter table "+e.events()+" rename to ingested_events_before;")
	case persistence != "p":
		e.add("it is not logged, so that a crash of the server would empty it", "alter table "+e.events()+" set logged;")
	case len(children) > 0:
		e.add("other tables inherit from it, and its key does not cover their rows: "+strings.Join(children, ", "),
			fmt.Sprintf("alter table %s no inherit %s;", children[0], e.events()))
	}
}

func (e *IncompatibleError) columns(have []column) {
	named := make(map[string]column, len(have))
	for _, c := range have {
		named[c.Name] = c
	}
	for _, w := range wanted {
		e.column(w, named)
		delete(named, w.name)
	}
	for _, c := range have {
		if _, extra := named[c.Name]; extra && c.NotNull && !c.HasDefault {
			e.add(fmt.Sprintf("column %s is not null and has no default, and we write nothing into it", c.Name),
				fmt.Sprintf("alter table %s alter column %s drop not null;", e.events(), pgx.Identifier{c.Name}.Sanitize()))
		}
	}
}

func (e *IncompatibleError) column(w want, named map[string]column) {
	name := pgx.Identifier{w.name}.Sanitize()
	c, there := named[w.name]
	switch {
	case !there && w.name == "ingested_at":
		e.add("column ingested_at is missing", "alter table "+e.events()+" add column ingested_at timestamptz not null default now();")
	case !there:
		e.add(fmt.Sprintf("column %s is missing", w.name), fmt.Sprintf("alter table %s add column %s %s;", e.events(), name, w.ddl))
	case c.Generated:
		e.add(fmt.Sprintf("column %s is generated", w.name), fmt.Sprintf("alter table %s alter column %s drop expression;", e.events(), name))
	case !w.takes(c):
		e.add(fmt.Sprintf("column %s is %s, not %s", w.name, c.describe(), w.ddl),
			fmt.Sprintf("alter table %s alter column %s type %s using %s;", e.events(), name, w.ddl, w.convert(c, name)))
	case w.name == "ingested_at" && c.NotNull && !c.HasDefault:
		e.add("column ingested_at has no default", "alter table "+e.events()+" alter column ingested_at set default now();")
	}
}

// varcharHeader is what PostgreSQL adds to the length in a varchar's modifier.
const varcharHeader = 4

// takes reports whether each of our values fits into c unchanged. A timestamptz with fewer digits would round, and could move
// an event out of its window.
func (w want) takes(c column) bool {
	switch {
	case w.text > 0 && c.Kind == "varchar":
		return c.Modifier < 0 || int(c.Modifier)-varcharHeader >= w.text
	case w.kind == "timestamptz":
		return c.Kind == w.kind && (c.Modifier < 0 || c.Modifier == 6)
	}
	return c.Kind == w.kind
}

// convert is the expression that makes our value of c's. A timestamp without a zone would be read in that of the session.
func (w want) convert(c column, name string) string {
	if w.kind == "timestamptz" && (c.Kind == "timestamp" || c.Kind == "date") {
		return name + "::timestamp at time zone 'UTC'"
	}
	return name + "::" + w.ddl
}

func (c column) describe() string {
	switch {
	case c.Modifier < 0:
		return c.Kind
	case c.Kind == "varchar" || c.Kind == "bpchar":
		return fmt.Sprintf("%s(%d)", c.Kind, c.Modifier-varcharHeader)
	}
	return fmt.Sprintf("%s(%d)", c.Kind, c.Modifier)
}

// MissingError means that tables or columns were dropped after the migrations that made them.
type MissingError struct {
	Schema        string
	Missing, Left []string
}

func (e *MissingError) Error() string { return e.What() + "; " + e.Hint() }

// What says what is missing.
func (e *MissingError) What() string {
	return "the migrations have run, but this is missing: " + strings.Join(e.Missing, ", ")
}

// Hint says how to fix it.
func (e *MissingError) Hint() string {
	return fmt.Sprintf("restore it from a backup; or start over: drop table %s.%s cascade;", e.Schema, strings.Join(append(e.Left, table), ", "+e.Schema+"."))
}

// Tables are those that the migrations make.
var Tables = []string{"ingested_events", "ingestion_jobs", "ingestion_rounds", "ingestion_shards", "dead_letters", "api_quotas", "ingestion_doubts"}

// ledgerColumns are those of the tables that nobody but the migrations makes. Another table by such a name lacks some.
var ledgerColumns = map[string]string{
	"ingestion_jobs": `id name source span_start span_end shards capabilities api_total rows_before round watermark verified_at verdict
		created_at updated_at oldest table_state`,
	"ingestion_rounds": `job_id round span_start span_end shards late_before lookback candidate newest api_total missing started_at
		finished_at requests rows_before`,
	"ingestion_shards": `id job_id round shard parent_id window_start window_end seq cursor cursor_expires_at resume_at resume_id received
		events duplicates out_of_window dead_letters out_of_order dead_duplicates end_proof state attempts last_error run_id started_at
		updated_at late_minute late_ten_minutes late_hour late_older late_most witnesses reopened expected verified_rows`,
	"dead_letters":     "id job_id shard_id seq sha256 raw raw_bytes event_id reason detail endpoint received_at replayed_at replayed_as",
	"api_quotas":       "source endpoint limit_n window_ms not_before sent updated_at runs",
	"ingestion_doubts": "id job_id kind reason amount detail since lifted_at lifted_by",
}

// CompareTables makes sure that an up-to-date database has all tables and columns; otherwise the error is a *[MissingError].
func CompareTables(ctx context.Context, db Querier) error {
	version, err := Version(ctx, db)
	if err != nil || version < Newest() {
		return err
	}
	rows, _ := db.Query(ctx, selectPresent, Tables)
	columns, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	fault := &MissingError{}
	for i, have := range columns {
		name := Tables[i]
		lacks := slices.DeleteFunc(strings.Fields(ledgerColumns[name]), func(c string) bool { return slices.Contains(have, c) })
		switch {
		case len(have) == 0:
			fault.Missing = append(fault.Missing, "table "+name)
			continue
		case len(lacks) > 0:
			fault.Missing = append(fault.Missing, name+"."+strings.Join(lacks, ", "+name+"."))
		}
		if name != "ingested_events" {
			fault.Left = append(fault.Left, name)
		}
	}
	if err != nil || len(fault.Missing) == 0 {
		return wrap("look for the tables", err)
	}
	schema, err := FindSchema(ctx, db)
	fault.Schema = schema.Name
	return cmp.Or(err, error(fault))
}

const selectPresent = `
select array(select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = to_regclass(t.name) and a.attnum > 0 and not a.attisdropped)
from unnest($1::text[]) with ordinality t(name, n) order by n`
