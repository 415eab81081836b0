package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"sluice/migrations"
)

// probePrivileges names each privilege that a run needs and the role lacks. docs/least-privilege.md grants exactly these.
func probePrivileges(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	var role string
	var temp, makes bool
	if err := conn.QueryRow(ctx, selectRole).Scan(&role, &temp, &makes); err != nil {
		return Finding{}, err
	}
	schema, err := migrations.FindSchema(ctx, conn)
	if err != nil {
		return Finding{}, err
	}
	grantee, database := pgx.Identifier{role}.Sanitize(), pgx.Identifier{conn.Config().Database}.Sanitize()
	switch {
	case !schema.Exists && !makes:
		return fail(role+" may not make schema "+schema.Name, "as the database's owner: create schema "+schema.Name+" authorization "+grantee+";"), nil
	case schema.Exists && !schema.Usage:
		return fail(role+" may not use schema "+schema.Name, "grant usage on schema "+schema.Name+" to "+grantee+";"), nil
	case !temp:
		return fail(role+" may not make temporary tables, which salvage needs", "grant temporary on database "+database+" to "+grantee+";"), nil
	case !schema.Exists:
		return ok(role + " may make schema " + schema.Name), nil
	}
	missing, err := column[string](ctx, conn, selectMissingPrivileges, neededPrivileges())
	switch {
	case err != nil:
		return Finding{}, err
	case len(missing) > 0:
		return fail(role+" may not "+strings.Join(missing, ", "),
			"as the tables' owner: "+strings.Join(grants(missing, schema.Name, grantee), " ")), nil
	case schema.Create:
		return ok(role + " may do all that a run needs"), nil
	}
	version, err := migrations.Version(ctx, conn)
	if err == nil && version < migrations.Newest() { // only a role that migrates must be allowed to make tables
		return fail(role+" may not create tables in schema "+schema.Name,
			"run `sluice db migrate` as a role that may, or: grant create on schema "+schema.Name+" to "+grantee+";"), nil
	}
	return ok(role + " may do all that a run needs, and make no tables"), err
}

// grants returns the statements that grant privileges such as "select on ingested_events".
func grants(privileges []string, schema, grantee string) (statements []string) {
	for _, p := range privileges {
		what, table, _ := strings.Cut(p, " on ")
		statements = append(statements, fmt.Sprintf("grant %s on %s.%s to %s;", what, schema, table, grantee))
	}
	return statements
}

const selectRole = `
select current_user::text, has_database_privilege(current_database(), 'temporary'), has_database_privilege(current_database(), 'create')`

// neededPrivileges lists the privileges of a run, as "select on ingested_events". Update and delete of events are not among
// them: stored events never change.
func neededPrivileges() []string {
	all := []string{"select on sluice_migrations", "select on ingested_events", "insert on ingested_events", "delete on ingestion_shards"}
	for _, table := range []string{"ingestion_jobs", "ingestion_rounds", "ingestion_shards", "dead_letters", "api_quotas", "ingestion_doubts"} {
		for _, privilege := range []string{"select", "insert", "update"} {
			all = append(all, fmt.Sprintf("%s on %s", privilege, table))
		}
	}
	return all
}

const selectMissingPrivileges = `
select g.what from unnest($1::text[]) with ordinality g(what, n)
join pg_catalog.pg_class c on c.oid = to_regclass(split_part(g.what, ' on ', 2))
where not has_table_privilege(c.oid, split_part(g.what, ' on ', 1))
order by g.n`
