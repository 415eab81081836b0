package sink

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/coordinator/ledger"
)

// Raise opens a doubt of a job, or changes the open one of its kind. One that evidence has lifted is opened again: a doubt that comes
// and goes takes one row. With LiftedBy it is a decision, and is lifted in the same moment.
func (p *Postgres) Raise(ctx context.Context, jobID int64, d ledger.Doubt) error {
	_, err := p.exec(ctx, raiseDoubt, jobID, string(d.Kind), d.Reason, d.Amount, orEmpty(d.Detail), d.LiftedBy)
	return p.ledgerError(err, "raise a doubt of job %d", jobID)
}

const raiseDoubt = `
with again as (
  update ingestion_doubts
  set reason = $3, amount = $4, detail = $5, since = case when lifted_at is null then since else clock_timestamp() end,
      lifted_at = case when $6 <> '' then clock_timestamp() end, lifted_by = nullif($6, '')
  where job_id = $1 and kind = $2 and (lifted_at is null or lifted_by = 'evidence')
  returning id
)
insert into ingestion_doubts (job_id, kind, reason, amount, detail, lifted_at, lifted_by)
select $1, $2, $3, $4, $5, case when $6 <> '' then clock_timestamp() end, nullif($6, '') where not exists (select from again)
on conflict (job_id, kind) where lifted_at is null do nothing`

// Lift ends the open doubt of a kind, if there is one.
func (p *Postgres) Lift(ctx context.Context, jobID int64, kind ledger.DoubtKind, by string) error {
	_, err := p.exec(ctx, liftDoubt, jobID, string(kind), by)
	return p.ledgerError(err, "lift a doubt of job %d", jobID)
}

const liftDoubt = `
update ingestion_doubts set lifted_at = clock_timestamp(), lifted_by = $3
where job_id = $1 and kind = $2 and lifted_at is null`

// Doubts returns a job's doubts that are open or were lifted by a decision, the oldest first. A database of an older program has none.
func (p *Postgres) Doubts(ctx context.Context, jobID int64) ([]ledger.Doubt, error) {
	all, err := list(ctx, p, pgx.RowToStructByPos[ledger.Doubt], selectDoubts, jobID)
	if err != nil && !hasCode(err, undefinedTable) {
		return nil, p.ledgerError(err, "read the doubts of job %d", jobID)
	}
	return all, nil
}

const selectDoubts = `
select kind, reason, amount, detail, since, coalesce(lifted_at, '0001-01-01T00:00:00Z'), coalesce(lifted_by, '')
from ingestion_doubts
where job_id = $1 and (lifted_at is null or lifted_by <> 'evidence')
order by id`

// TableState returns the identity of ingested_events and its counters of changed and deleted rows, now and when they were kept. The
// counters of another session lag behind its COMMIT by seconds.
func (p *Postgres) TableState(ctx context.Context, jobID int64) (now, kept string, err error) {
	state, err := one(ctx, p, pgx.RowToStructByPos[struct{ Now, Kept string }], selectTableState, jobID)
	return state.Now, state.Kept, p.ledgerError(err, "look at the table of job %d", jobID)
}

const selectTableState = `
select jsonb_build_object(
    'oid', t.oid::bigint, 'file', pg_relation_filenode(t.oid)::bigint,
    'updated', pg_stat_get_tuples_updated(t.oid), 'deleted', pg_stat_get_tuples_deleted(t.oid),
    'reset', pg_stat_get_db_stat_reset_time((select d.oid from pg_catalog.pg_database d where d.datname = current_database())))::text,
  coalesce(j.table_state::text, '')
from ingestion_jobs j, (select to_regclass('ingested_events')::oid as oid) t
where j.id = $1`

// KeepTableState keeps a state that was read before the table was counted, and the rows of windows that were verified.
func (p *Postgres) KeepTableState(ctx context.Context, jobID int64, state string, verified []ledger.AuditWindow) error {
	var ids, rows []int64
	for i := range verified {
		ids, rows = append(ids, verified[i].ID), append(rows, verified[i].Rows)
	}
	err := p.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, updateVerifiedRows, ids, rows); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, updateTableState, jobID, state)
		return err
	})
	return p.ledgerError(err, "keep the table state of job %d", jobID)
}

const (
	updateVerifiedRows = `
update ingestion_shards s set verified_rows = w.rows from unnest($1::bigint[], $2::bigint[]) w(id, rows) where s.id = w.id`
	updateTableState = `update ingestion_jobs set table_state = $2::jsonb, updated_at = now() where id = $1`
)

// Known returns how many of some events the table has.
func (p *Postgres) Known(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	known, err := list(ctx, p, pgx.RowTo[uuid.UUID], selectKnown, ids)
	return known, p.ledgerError(err, "look up %d events", len(ids))
}

const selectKnown = `select id from ingested_events where id = any($1)`
