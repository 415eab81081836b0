package sink

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Status is a job as the ledger shows it.
type Status struct {
	Job     *ledger.Job
	Shards  []ShardStatus       // of the current round, oldest window first
	Earlier shard.Counts        // of all other rounds
	Rounds  []*ledger.Round     // the last ones, the newest first; nil for a job that has only its first load
	Holder  *ledger.LockedError // the run that holds the job now; nil if none does
	Paused  bool                // its operator has paused it
}

// ShardStatus is a checkpoint and when it moved.
type ShardStatus struct {
	shard.Checkpoint
	StartedAt, UpdatedAt time.Time // zero if it has not
}

// Status returns the status of the job of that name; nil if there is none.
func (p *Postgres) Status(ctx context.Context, name string) (*Status, error) {
	job, found, err := p.Job(ctx, name)
	if err != nil || !found {
		return nil, err
	}
	s := &Status{Job: job}
	if s.Shards, err = loadShards(ctx, p, job.ID, scanShard); err != nil {
		return nil, err
	}
	if s.Earlier, err = p.Earlier(ctx, job.ID); err != nil {
		return nil, err
	}
	if job.Round > 1 {
		if s.Rounds, err = p.Rounds(ctx, job.ID); err != nil {
			return nil, err
		}
	}
	if s.Holder, err = p.Holder(ctx, name); err != nil || s.Holder == nil {
		return s, err
	}
	s.Paused, err = p.paused(ctx, s.Holder)
	return s, err
}

// Holder returns the session that holds the job of that name; nil if none does.
func (p *Postgres) Holder(ctx context.Context, name string) (*ledger.LockedError, error) {
	holder, err := holderOf(ctx, p.pool, p.config.lockKey(name), name)
	if err != nil || holder.PID == 0 {
		return nil, p.ledgerError(err, "look at the lock")
	}
	return holder, nil
}

// Jobs returns the names of all jobs, oldest first.
func (p *Postgres) Jobs(ctx context.Context) ([]string, error) {
	rows, _ := p.pool.Query(ctx, selectJobs)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if hasCode(err, undefinedTable) {
		return nil, nil
	}
	return names, p.ledgerError(err, "list the jobs")
}

const selectJobs = `select name from ingestion_jobs order by id`

// Arrived is the number of rows that a job's span had received by an instant.
type Arrived struct {
	At   time.Time
	Rows int64 // since the job was created
}

// OverTime returns how the rows of a job's span arrived, in about 200 steps from the first to the last. It reads the whole table.
// The times are those at which the rows' transactions began.
func (p *Postgres) OverTime(ctx context.Context, job *ledger.Job) ([]Arrived, error) {
	rows, _ := p.pool.Query(ctx, selectOverTime, timestamptz(job.Span.Start), timestamptz(job.Span.End), job.CreatedAt)
	steps, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Arrived])
	return steps, p.ledgerError(err, "look when the rows of job %s arrived", job.Name)
}

const selectOverTime = `
with stored as (
  select ingested_at, count(*) as rows from ingested_events
  where "timestamp" >= $1 and "timestamp" < $2 and ingested_at >= $3 group by ingested_at
), ends as (
  select min(ingested_at) as first, greatest(max(ingested_at) - min(ingested_at), interval '2 seconds') / 200 as step from stored
), steps as (
  select e.first + (floor(extract(epoch from s.ingested_at - e.first) / extract(epoch from e.step)) + 1) * e.step as at, sum(s.rows) as rows
  from stored s, ends e group by 1
)
select at, sum(rows) over (order by at)::bigint from (select first, 0 from ends where first is not null union all select * from steps) all_of_them (at, rows)
order by at`

// TableUse says whose rows are in ingested_events. A demo's rows and real events must not be mixed.
type TableUse struct {
	There   bool // the table exists
	Rows    bool // and has at least one row
	Foreign bool // some of the rows belong to no job: they were there before the first
	Jobs    []JobUse
}

// JobUse is a job that has stored events.
type JobUse struct{ Name, Source string }

// TableUse looks at ingested_events without reading it: the ledger knows whose the rows are.
func (p *Postgres) TableUse(ctx context.Context) (use TableUse, err error) {
	err = p.readTableUse(ctx, &use)
	return use, p.ledgerError(err, "look whose rows are in ingested_events")
}

func (p *Postgres) readTableUse(ctx context.Context, use *TableUse) error {
	var ledger bool
	err := p.pool.QueryRow(ctx, selectTables).Scan(&use.There, &ledger)
	if err != nil || !use.There {
		return err
	}
	if err := p.pool.QueryRow(ctx, selectAnyRow).Scan(&use.Rows); err != nil || !use.Rows {
		return err
	}
	if !ledger {
		use.Foreign = true
		return nil
	}
	rows, _ := p.pool.Query(ctx, selectJobUse)
	if use.Jobs, err = pgx.CollectRows(rows, pgx.RowToStructByPos[JobUse]); err != nil {
		return err
	}
	err = p.pool.QueryRow(ctx, selectForeign).Scan(&use.Foreign)
	use.Foreign = use.Foreign || len(use.Jobs) == 0
	return err
}

const selectTables = `
select to_regclass('ingested_events') is not null, to_regclass('ingestion_shards') is not null`

const selectAnyRow = `select exists (select from ingested_events)`

const selectJobUse = `
select j.name, j.source
from ingestion_jobs j join ingestion_shards s on s.job_id = j.id
group by j.id having sum(s.events) > 0
order by j.id`

const selectForeign = `
select coalesce((select rows_before > 0 from ingestion_jobs order by id limit 1), false)`
