package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// JobName returns the job whose lock Lock takes.
func (p *Postgres) JobName() string { return p.config.Job }

// Job returns the job of that name; found is false if there is none.
func (p *Postgres) Job(ctx context.Context, name string) (job *ledger.Job, found bool, err error) {
	job, err = one(ctx, p, func(row pgx.CollectableRow) (*ledger.Job, error) { return scanJob(row) }, selectJob, name)
	if errors.Is(err, pgx.ErrNoRows) || hasCode(err, undefinedTable) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read job %s: %w", name, err)
	}
	return job, true, nil
}

// The API's total is the one at the start of the newest finished round, so that all of its events must be there.
const jobColumns = `id, name, source, span_start, span_end, shards, capabilities,
       coalesce((select r.api_total from ingestion_rounds r where r.job_id = id and r.finished_at is not null
                 order by r.round desc limit 1), api_total, 0),
       rows_before, round, watermark, oldest, verified_at, coalesce(verdict, ''), created_at`

const selectJob = `select ` + jobColumns + ` from ingestion_jobs where name = $1`

func scanJob(row pgx.Row) (*ledger.Job, error) {
	var j ledger.Job
	var start, end, watermark, oldest pgtype.Timestamptz
	var verified *time.Time
	err := row.Scan(&j.ID, &j.Name, &j.Source, &start, &end, &j.Shards, &j.Capabilities, &j.APITotal, &j.RowsBefore, &j.Round,
		&watermark, &oldest, &verified, &j.Verdict, &j.CreatedAt)
	j.Span, j.VerifiedAt = shard.Window{Start: instant(start), End: instant(end)}, orZero(verified)
	j.Watermark, j.Oldest = instant(watermark), instant(oldest)
	return &j, err
}

// CreateJob inserts a job and the windows of its first round, oldest first, in one transaction. It counts the rows that the table
// has before the first of ours. The ID, the number of shards and the times in j need not be set.
func (p *Postgres) CreateJob(ctx context.Context, j ledger.Job, windows []shard.Window) (job *ledger.Job, err error) {
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, liftTimeout); err != nil {
			return err
		}
		row := tx.QueryRow(ctx, insertJob, j.Name, j.Source, timestamptz(j.Span.Start), timestamptz(j.Span.End), len(windows),
			orEmpty(j.Capabilities), orNull(j.APITotal), timestamptzOrNull(j.Oldest))
		if job, err = scanJob(row); err != nil {
			return err
		}
		failpoint.Hit("job.inserted")
		return insertRound(ctx, tx, job.ID, &ledger.Round{
			Number: 1, Span: j.Span, Candidate: j.Candidate, Newest: j.Newest, APITotal: j.APITotal,
		}, windows)
	})
	if err != nil {
		return nil, fmt.Errorf("create job %s: %w", j.Name, err)
	}
	return job, nil
}

// liftTimeout is for statements that read the whole table.
const liftTimeout = `set local statement_timeout = 0`

const insertJob = `
insert into ingestion_jobs (name, source, span_start, span_end, shards, capabilities, api_total, oldest, rows_before)
values ($1, $2, $3, $4, $5, $6, $7, $8, (select count(*) from ingested_events))
returning ` + jobColumns

func orEmpty(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage(`{}`)
	}
	return raw
}

// SetVerdict records the result of a check. The time of the verification is set if verified, and cleared otherwise. The first
// verification of a job finishes round 1 and sets the watermark.
func (p *Postgres) SetVerdict(ctx context.Context, jobID int64, verdict string, verified bool) error {
	return p.setJob(ctx, "verdict", updateVerdict, jobID, verdict, verified)
}

const updateVerdict = `
with first as (
  update ingestion_rounds set finished_at = coalesce(finished_at, clock_timestamp())
  where job_id = $1 and round = 1 and $3
  returning candidate
)
update ingestion_jobs
set verdict = $2, verified_at = case when $3 then clock_timestamp() end, updated_at = now(),
    watermark = coalesce(watermark, (select candidate from first))
where id = $1`

// SetSource gives the job another source: the same data at a new address.
func (p *Postgres) SetSource(ctx context.Context, jobID int64, source string) error {
	return p.setJob(ctx, "source", updateSource, jobID, source)
}

const updateSource = `update ingestion_jobs set source = $2, updated_at = now() where id = $1`

func (p *Postgres) setJob(ctx context.Context, what, sql string, args ...any) error {
	n, err := p.exec(ctx, sql, args...)
	if err == nil && n == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return fmt.Errorf("set the %s of job %d: %w", what, args[0], err)
	}
	return nil
}
