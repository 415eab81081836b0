package sink

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// TableUse says whose rows are in ingested_events. A demo must not be poured among somebody's events, nor the other way round.
type TableUse struct {
	There   bool // the table exists
	Rows    bool // and has at least one row
	Foreign bool // some of the rows are no job's: they were there before the first
	Jobs    []JobUse
}

// JobUse is a job that has stored events.
type JobUse struct {
	Name, Source string
	Events       int64
}

// TableUse looks at ingested_events without reading it: the ledger tells whose the rows are.
func (p *Postgres) TableUse(ctx context.Context) (use TableUse, err error) {
	var ledger bool
	if err := p.pool.QueryRow(ctx, selectTables).Scan(&use.There, &ledger); err != nil {
		return use, fmt.Errorf("look for ingested_events: %w", err)
	}
	if !use.There {
		return use, nil
	}
	if err := p.pool.QueryRow(ctx, selectAnyRow).Scan(&use.Rows); err != nil || !use.Rows {
		return use, wrap("look into ingested_events", err)
	}
	if !ledger {
		use.Foreign = true
		return use, nil
	}
	rows, _ := p.pool.Query(ctx, selectJobUse)
	if use.Jobs, err = pgx.CollectRows(rows, pgx.RowToStructByPos[JobUse]); err != nil {
		return use, fmt.Errorf("read whose rows are in ingested_events: %w", err)
	}
	err = p.pool.QueryRow(ctx, selectForeign).Scan(&use.Foreign)
	use.Foreign = use.Foreign || len(use.Jobs) == 0
	return use, wrap("read the first job", err)
}

const selectTables = `
select to_regclass('public.ingested_events') is not null, to_regclass('public.ingestion_shards') is not null`

const selectAnyRow = `select exists (select from public.ingested_events)`

const selectJobUse = `
select j.name, j.source, sum(s.events)::bigint
from public.ingestion_jobs j join public.ingestion_shards s on s.job_id = j.id
group by j.id having sum(s.events) > 0
order by j.id`

const selectForeign = `
select coalesce((select rows_before > 0 from public.ingestion_jobs order by id limit 1), false)`

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
