package sink

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/shard"
)

// AuditDay is a day of event time, in UTC, and the rows that lie in it.
type AuditDay struct {
	Day    time.Time // its first instant
	Rows   int64
	Shards []DayOfShard // oldest window first
}

// DayOfShard is what of a day lies in one window.
type DayOfShard struct {
	Shard int
	Rows  int64
}

// AuditByDay is [Postgres.Audit] with the rows counted by day, too. It takes longer: a date is computed for every row.
func (p *Postgres) AuditByDay(ctx context.Context, jobID int64) (Audit, error) {
	return p.audit(ctx, jobID, (*Audit).countDays)
}

func (a *Audit) countDays(ctx context.Context, tx pgx.Tx) error {
	rows, _ := tx.Query(ctx, countByDay, a.edges())
	var day *time.Time
	var bucket int
	var n int64
	_, err := pgx.ForEachRow(rows, []any{&day, &bucket, &n}, func() error {
		a.add(bucket, n)
		if day != nil {
			a.addDay(*day, bucket, n)
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

func (a *Audit) addDay(day time.Time, bucket int, rows int64) {
	if n := len(a.Days); n == 0 || !a.Days[n-1].Day.Equal(day) {
		a.Days = append(a.Days, AuditDay{Day: day.UTC()})
	}
	last := &a.Days[len(a.Days)-1]
	last.Rows += rows
	if bucket >= 1 && bucket <= len(a.Windows) {
		last.Shards = append(last.Shards, DayOfShard{a.Windows[bucket-1].Shard, rows})
	}
}

// Complete tells whether all windows that reach into the day are walked to their proven end, and hold what they stored.
func (a *Audit) Complete(d AuditDay) bool {
	start := shard.InstantOf(d.Day)
	end := shard.InstantOf(d.Day.AddDate(0, 0, 1))
	for _, f := range families(a) {
		for _, w := range f {
			if w.Window.Start < end && w.Window.End > start && (!proven(*w) || f.missing() > 0 && w.short() > 0) {
				return false
			}
		}
	}
	return true
}
