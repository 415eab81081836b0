package sink

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// split writes down the pieces that a batch cuts off its shard's window: each a shard of the same round and run, with the parent
// it came from, numbered on from the highest number there is. It is the last statement before the COMMIT. Two shards of a job may
// split at once and would take the same number; the lock that keeps them apart is held by nobody who still waits for a row.
func split(ctx context.Context, tx pgx.Tx, b *shard.Batch) error {
	if len(b.Split) == 0 {
		return nil
	}
	starts, ends := edges(b.Split)
	all := &pgx.Batch{}
	all.Queue(lockNumbers, b.From.ID)
	all.Queue(insertPieces, b.From.ID, starts, ends)
	all.Queue(moveStart, b.From.ID, ends[len(ends)-1])
	results := tx.SendBatch(ctx, all)
	for _, want := range []int64{1, int64(len(b.Split)), 1} {
		tag, err := results.Exec()
		if err == nil && tag.RowsAffected() != want {
			err = fmt.Errorf("split shard row %d at %s: %d rows instead of %d", b.From.ID, b.Split[0].Start, tag.RowsAffected(), want)
		}
		if err != nil {
			_ = results.Close()
			return err
		}
	}
	failpoint.Hit("window.pieces")
	return results.Close()
}

const lockNumbers = `
select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('sluice shard numbers', job_id))
from public.ingestion_shards where id = $1`

const insertPieces = `
insert into public.ingestion_shards (job_id, round, shard, parent_id, window_start, window_end, run_id)
select p.job_id, p.round, w.n + (select max(o.shard) from public.ingestion_shards o where o.job_id = p.job_id and o.round = p.round),
       p.id, w.s, w.e, p.run_id
from public.ingestion_shards p, unnest($2::timestamptz[], $3::timestamptz[]) with ordinality as w(s, e, n)
where p.id = $1`

// The row is of the batch's own window: its checkpoint has been moved in the same transaction.
const moveStart = `update public.ingestion_shards set window_start = $2 where id = $1`
