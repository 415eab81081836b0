package sink

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// late counts the events of a load that were stored and lie before the watermark. left are those that were not stored: known
// already, or dead letters now.
func (l *load) late(left []*shard.Event) (n ledger.Late) {
	if l.watermark == 0 {
		return n
	}
	out := make(map[*shard.Event]bool, len(left))
	for _, e := range left {
		out[e] = true
	}
	for _, e := range l.order {
		if e.At < l.watermark && !out[e] {
			n.Add(l.watermark.Sub(e.At))
		}
	}
	return n
}

// noteLate adds to what the shard's row counts, in the batch's own transaction.
func noteLate(ctx context.Context, tx pgx.Tx, id int64, n ledger.Late) error {
	if n.Total() == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, addLate, id, n.Minute, n.TenMinutes, n.Hour, n.Older, interval(n.Most))
	return err
}

const addLate = `
update public.ingestion_shards
set late_minute = late_minute + $2, late_ten_minutes = late_ten_minutes + $3, late_hour = late_hour + $4,
    late_older = late_older + $5, late_most = greatest(late_most, $6)
where id = $1`

// interval returns d for PostgreSQL, in microseconds.
func interval(d time.Duration) pgtype.Interval {
	return pgtype.Interval{Microseconds: d.Microseconds(), Valid: true}
}
