package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// advance begins the transaction and moves the checkpoints of a group, in one exchange with the server. moved is false where a
// row is not at its batch's seq, not this run's, or of another window.
func (p *Postgres) advance(ctx context.Context, conn *pgxpool.Conn, g group) (tx pgx.Tx, moved bool, err error) {
	all := &pgx.Batch{}
	all.BeginTx(pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	for _, c := range g {
		p.move(all, c)
	}
	results := conn.SendBatch(ctx, all)
	failpoint.Hit("begin.sent")
	tx = results.Tx()
	_, err = results.Exec()
	rows := int64(0)
	for i := 0; i < len(g) && err == nil; i++ {
		var tag pgconn.CommandTag
		tag, err = results.Exec()
		rows += tag.RowsAffected()
	}
	return tx, rows == int64(len(g)), cmp.Or(err, results.Close())
}

// move queues the move of a checkpoint.
func (p *Postgres) move(all *pgx.Batch, c *commit) {
	t := c.expected()
	at, id := key(c.Resume)
	all.Queue(moveCheckpoint, c.From.ID, c.From.Seq, p.config.Run, orNull(c.Cursor), timeOrNull(c.CursorExpires), at, id,
		orNull(string(c.Proof)), t.Received, t.Events, t.Duplicates, t.OutOfWindow, t.DeadLetters, t.OutOfOrder,
		timestamptz(c.From.Window.Start), timestamptz(c.From.Window.End))
}

// The window is in the fence for the sake of a database that went back in time: it may have forgotten a piece that a batch is on
// its way to, and give that id, with seq 0 and the same run, to the piece of another split.
const moveCheckpoint = `
update public.ingestion_shards
set seq = seq + 1, cursor = $4, cursor_expires_at = $5, resume_at = $6, resume_id = $7,
    end_proof = $8, state = case when $8::text is null then state else 'done' end,
    received = received + $9, events = events + $10, duplicates = duplicates + $11, out_of_window = out_of_window + $12,
    dead_letters = dead_letters + $13, out_of_order = out_of_order + $14,
    last_error = null, updated_at = now()
where id = $1 and seq = $2 and run_id = $3
  and window_start = $15 and window_end = $16`

// settle finds out why the checkpoint did not move. The lock waits until a transaction of an earlier attempt, which the server
// may still be busy with, has ended; a plain read here was wrong in 86 % of the cases where a connection was lost at COMMIT.
func (p *Postgres) settle(ctx context.Context, tx pgx.Tx, c *commit) error {
	var seq int64
	var ours bool
	err := tx.QueryRow(ctx, lockCheckpoint, c.From.ID, p.config.Run, timestamptz(c.From.Window.End)).Scan(&seq, &ours)
	failpoint.Hit("commit.settled")
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("shard row %d is gone: %w", c.From.ID, shard.ErrStale)
	case err != nil:
		return err
	case c.sent && ours && seq == c.From.Seq+1:
		return nil // it had landed, and c.counted is what it counted
	}
	return fmt.Errorf("shard row %d is at seq %d, not %d, taken by another run, or of another window: %w", c.From.ID, seq, c.From.Seq, shard.ErrStale)
}

const lockCheckpoint = `
select seq, run_id is not distinct from $2::uuid and window_end = $3 from public.ingestion_shards where id = $1 for update`

// amend corrects the counts of the checkpoint where not all went as expected. The law of the counts holds before and after.
func amend(ctx context.Context, tx pgx.Tx, id int64, was, is tally) error {
	if was == is {
		return nil
	}
	_, err := tx.Exec(ctx, amendCounts, id, is.Events-was.Events, is.Duplicates-was.Duplicates, is.DeadLetters-was.DeadLetters,
		is.deadDuplicates)
	return err
}

const amendCounts = `
update public.ingestion_shards
set events = events + $2, duplicates = duplicates + $3, dead_letters = dead_letters + $4, dead_duplicates = dead_duplicates + $5
where id = $1`
