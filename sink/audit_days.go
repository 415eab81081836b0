package sink

import (
	"context"
	"fmt"
	"time"

	"sluice/coordinator/ledger"

	"github.com/jackc/pgx/v5"
)

// AuditByDay is [Postgres.Audit] with the rows counted by day, too. It takes longer: a date is computed for every row.
func (p *Postgres) AuditByDay(ctx context.Context, jobID int64) (ledger.Audit, error) {
	return p.audit(ctx, jobID, countDays)
}

func countDays(ctx context.Context, tx pgx.Tx, a *ledger.Audit) error {
	rows, _ := tx.Query(ctx, countByDay, bucketEdges(a))
	var day *time.Time
	var bucket int
	var n int64
	_, err := pgx.ForEachRow(rows, []any{&day, &bucket, &n}, func() error {
		addRows(a, bucket, n)
		if day != nil {
			addDay(a, *day, bucket, n)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count the rows of ingested_events by day: %w", err)
	}
	return nil
}

// Rows that somebody else put at infinity are of no day.
const countByDay = `
select case when isfinite("timestamp") then date_trunc('day', "timestamp", 'UTC') end, width_bucket("timestamp", $1::timestamptz[]), count(*)
from public.ingested_events group by 1, 2 order by 1, 2`

func addDay(a *ledger.Audit, day time.Time, bucket int, rows int64) {
	if n := len(a.Days); n == 0 || !a.Days[n-1].Day.Equal(day) {
		a.Days = append(a.Days, ledger.AuditDay{Day: day.UTC()})
	}
	last := &a.Days[len(a.Days)-1]
	last.Rows += rows
	if bucket >= 1 && bucket <= len(a.Windows) {
		last.Shards = append(last.Shards, ledger.DayOfShard{Shard: a.Windows[bucket-1].Shard, Rows: rows})
	}
}
