package sink

import (
	"context"
	"errors"
	"time"

	"sluice/coordinator/ledger"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// settleTimeout bounds SettleQuotas, for which a request waits.
const settleTimeout = 2 * time.Second

var errSettleTimeout = errors.New("the quotas were not settled in time")

// SettleQuotas hands the rows of a source's endpoints to settle, in the same order, with the time by the database's clock, and
// stores what it returns. The rows are locked meanwhile, so that runs settle one after the other; runs must name the same endpoints
// in the same order. While the disk is full it does nothing: a row that is replaced every second would use up the little room that
// is made, and no page is requested anyway.
func (p *Postgres) SettleQuotas(ctx context.Context, source string, endpoints []string, settle func(now time.Time, rows []ledger.Quota) []ledger.Quota) error {
	if p.disk.is() {
		return ErrDiskFull
	}
	ctx, cancel := context.WithTimeoutCause(ctx, settleTimeout, errSettleTimeout)
	defer cancel()
	err := p.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		return settleQuotas(ctx, conn.Conn(), source, endpoints, settle)
	})
	return p.ledgerError(err, "settle the quotas of %s", source)
}

// settleQuotas sends the COMMIT together with the updates, so that a request waits for one answer less. If it fails before that, the
// pool closes the connection, and with it the transaction.
func settleQuotas(ctx context.Context, conn *pgx.Conn, source string, endpoints []string, settle func(now time.Time, rows []ledger.Quota) []ledger.Quota) error {
	if _, err := conn.Exec(ctx, "begin"); err != nil {
		return err
	}
	now, rows, err := lockQuotas(ctx, conn, source, endpoints)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	for _, q := range settle(now, rows) {
		batch.Queue(updateQuota, source, q.Endpoint, q.Limit, q.Window.Milliseconds(), timeOrNull(q.NotBefore), q.Sent, q.Runs)
	}
	batch.Queue("commit")
	return conn.SendBatch(ctx, batch).Close()
}

const updateQuota = `
update api_quotas
set limit_n = $3, window_ms = $4, not_before = $5, sent = coalesce($6::timestamptz[], '{}'), runs = coalesce($7::jsonb, '{}'),
    updated_at = clock_timestamp()
where source = $1 and endpoint = $2`

// lockQuotas returns the rows of the endpoints, locked, and the time after that. Missing rows are inserted.
func lockQuotas(ctx context.Context, conn *pgx.Conn, source string, endpoints []string) (now time.Time, all []ledger.Quota, err error) {
	for range 2 {
		if now, all, err = selectForUpdate(ctx, conn, source, endpoints); err != nil || len(all) == len(endpoints) {
			return now, all, err
		}
		if _, err = conn.Exec(ctx, insertQuotas, source, endpoints); err != nil {
			return now, nil, err
		}
	}
	return now, nil, errors.New("the rows of the quotas vanish")
}

const insertQuotas = `
insert into api_quotas (source, endpoint, limit_n, window_ms)
select $1, e, 0, 0 from unnest($2::text[]) e order by e
on conflict (source, endpoint) do nothing`

func selectForUpdate(ctx context.Context, conn *pgx.Conn, source string, endpoints []string) (now time.Time, all []ledger.Quota, err error) {
	rows, _ := conn.Query(ctx, selectQuotasLocked, source, endpoints)
	all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (q ledger.Quota, err error) {
		now, err = scanQuota(row, &q)
		return q, err
	})
	return now, all, err
}

// A limit is trusted for a day: one that the API has raised since would never be noticed, because nothing is refused.
const quotaColumns = `endpoint, case when updated_at > now() - interval '1 day' then limit_n else 0 end, window_ms, not_before, sent, runs, clock_timestamp()`

// The clock is read once the rows are locked.
const selectQuotasLocked = `
with locked as materialized (
  select * from api_quotas where source = $1 and endpoint = any($2::text[]) order by endpoint for update
)
select ` + quotaColumns + ` from locked order by array_position($2::text[], endpoint::text)`

// LoadQuotas returns the quotas of a source, ordered by endpoint.
func (p *Postgres) LoadQuotas(ctx context.Context, source string) ([]ledger.Quota, error) {
	quotas, err := list(ctx, p, func(row pgx.CollectableRow) (q ledger.Quota, err error) {
		_, err = scanQuota(row, &q)
		return q, err
	}, selectQuotas, source)
	return quotas, p.ledgerError(err, "load the quotas of %s", source)
}

const selectQuotas = `select ` + quotaColumns + ` from api_quotas where source = $1 order by endpoint`

// scanQuota reads quotaColumns.
func scanQuota(row pgx.CollectableRow, q *ledger.Quota) (now time.Time, err error) {
	var window int64
	var notBefore *time.Time
	err = row.Scan(&q.Endpoint, &q.Limit, &window, &notBefore, &q.Sent, &q.Runs, &now)
	q.Window, q.NotBefore = time.Duration(window)*time.Millisecond, orZero(notBefore)
	return now, err
}
