package sink

import (
	"context"
	"time"

	"sluice/coordinator/ledger"

	"github.com/jackc/pgx/v5"
)

// Arrived is how many rows a job's span had got at an instant.
type Arrived struct {
	At   time.Time
	Rows int64 // since the job was made
}

// OverTime returns how the rows of a job's span came in, in about 200 steps from the first to the last. It reads the whole
// table. The times are those at which the rows' transactions began.
func (p *Postgres) OverTime(ctx context.Context, job *ledger.Job) ([]Arrived, error) {
	rows, _ := p.pool.Query(ctx, selectOverTime, timestamptz(job.Span.Start), timestamptz(job.Span.End), job.CreatedAt)
	steps, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Arrived])
	if err != nil {
		return nil, ledgerError(err, "look when the rows of job %s came in", job.Name)
	}
	return steps, nil
}

const selectOverTime = `
with stored as (
  select ingested_at, count(*) as rows from public.ingested_events
  where "timestamp" >= $1 and "timestamp" < $2 and ingested_at >= $3 group by ingested_at
), ends as (
  select min(ingested_at) as first, greatest(max(ingested_at) - min(ingested_at), interval '2 seconds') / 200 as step from stored
), steps as (
  select e.first + (floor(extract(epoch from s.ingested_at - e.first) / extract(epoch from e.step)) + 1) * e.step as at, sum(s.rows) as rows
  from stored s, ends e group by 1
)
select at, sum(rows) over (order by at)::bigint from (select first, 0 from ends where first is not null union all select * from steps) all_of_them (at, rows)
order by at`
