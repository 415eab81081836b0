package sink

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Quota is what was learned of one endpoint's limit, and the requests of its last window. It is kept so that a rerun, a probe
// and a backfill spend the same quota.
type Quota struct {
	Endpoint  string
	Limit     int           // requests in one window
	Window    time.Duration // to the millisecond
	NotBefore time.Time     // no request before; zero: none was refused
	Sent      []time.Time   // requests of the last window, to the microsecond
}

// SaveQuotas replaces what is kept for the endpoints of a source. While the disk is full it does nothing: a row that is
// replaced every second would take what little room is made, and no page is asked for anyway.
func (p *Postgres) SaveQuotas(ctx context.Context, source string, quotas []Quota) error {
	if p.disk.is() {
		return ErrDiskFull
	}
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	batch := &pgx.Batch{}
	for _, q := range quotas {
		sent := q.Sent
		if sent == nil {
			sent = []time.Time{}
		}
		batch.Queue(upsertQuota, source, q.Endpoint, q.Limit, q.Window.Milliseconds(), timeOrNull(q.NotBefore), sent)
	}
	if err := p.pool.SendBatch(ctx, batch).Close(); err != nil {
		return ledgerError(err, "save the quotas of %s", source)
	}
	return nil
}

const upsertQuota = `
insert into public.api_quotas (source, endpoint, limit_n, window_ms, not_before, sent) values ($1, $2, $3, $4, $5, $6)
on conflict (source, endpoint) do update
set limit_n = excluded.limit_n, window_ms = excluded.window_ms, not_before = excluded.not_before, sent = excluded.sent,
    updated_at = now()`

// LoadQuotas returns what is kept for a source, by endpoint.
func (p *Postgres) LoadQuotas(ctx context.Context, source string) ([]Quota, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	rows, _ := p.pool.Query(ctx, selectQuotas, source)
	quotas, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (q Quota, err error) {
		var window int64
		var notBefore *time.Time
		err = row.Scan(&q.Endpoint, &q.Limit, &window, &notBefore, &q.Sent)
		q.Window, q.NotBefore = time.Duration(window)*time.Millisecond, orZero(notBefore)
		return q, err
	})
	if err != nil {
		return nil, ledgerError(err, "load the quotas of %s", source)
	}
	return quotas, nil
}

// A limit is believed for a day: one that the API has raised since would never be noticed, because nothing is refused.
const selectQuotas = `
select endpoint, case when updated_at > now() - interval '1 day' then limit_n else 0 end, window_ms, not_before, sent
from public.api_quotas where source = $1 order by endpoint`
