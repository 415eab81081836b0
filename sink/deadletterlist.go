package sink

import (
	"context"
	"errors"

	"sluice/coordinator/ledger"

	"github.com/jackc/pgx/v5"
)

// listedRaw bytes of a record are shown in a list.
const listedRaw = 200

const deadLetterColumns = `d.id, s.shard, d.seq, d.sha256, substring(d.raw for $2), d.raw_bytes, coalesce(d.event_id, ''), d.reason, d.detail,
       d.endpoint, d.received_at, coalesce(d.replayed_at, '0001-01-01 00:00:00+00')
from public.dead_letters d join public.ingestion_shards s on s.id = d.shard_id`

// wholeRaw is more than what is kept of any record.
const wholeRaw = 1 << 30

// DeadLetters returns a page of the job's dead letters, oldest first, with the beginning of their bytes.
func (p *Postgres) DeadLetters(ctx context.Context, q ledger.DeadLetterQuery) ([]ledger.DeadLetter, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	shown := listedRaw
	if q.Whole {
		shown = wholeRaw
	}
	rows, _ := p.pool.Query(ctx, selectDeadLetters, q.JobID, shown, q.Reason, q.AfterID, q.Limit, q.IDs, q.Replayed)
	letters, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.DeadLetter])
	if err != nil {
		return nil, ledgerError(err, "list the dead letters")
	}
	return letters, nil
}

const selectDeadLetters = `
select ` + deadLetterColumns + `
where d.job_id = $1 and ($3 = '' or d.reason = $3) and d.id > $4 and ($6::bigint[] is null or d.id = any($6))
  and ($7 or d.replayed_at is null)
order by d.id limit $5`

// DeadLetter returns one dead letter of the job with all its bytes; nil if there is none of that id.
func (p *Postgres) DeadLetter(ctx context.Context, jobID, id int64) (*ledger.DeadLetter, error) {
	rows, _ := p.pool.Query(ctx, selectDeadLetter, jobID, wholeRaw, id)
	letter, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[ledger.DeadLetter])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, ledgerError(err, "read dead letter %d", id)
	}
	return letter, nil
}

const selectDeadLetter = `select ` + deadLetterColumns + ` where d.job_id = $1 and d.id = $3`

// ReasonCount is how many dead letters have a reason.
type ReasonCount struct {
	Reason string
	Count  int64
}

// DeadLetterReasons counts the job's dead letters by reason, the most frequent first, without those that were replayed.
func (p *Postgres) DeadLetterReasons(ctx context.Context, jobID int64) ([]ReasonCount, error) {
	rows, _ := p.pool.Query(ctx, countReasons, jobID)
	counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ReasonCount])
	if err != nil {
		return nil, ledgerError(err, "count the dead letters")
	}
	return counts, nil
}

const countReasons = `
select reason, count(*) from public.dead_letters where job_id = $1 and replayed_at is null group by reason order by count(*) desc, reason`
