package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// commit is a batch on its way into the database, over as many attempts as it takes.
type commit struct {
	*prepared
	alone   bool // shares no transaction
	pieces  int  // COPYs that its rows are divided into, 1 unless one takes too long
	staged  bool // its rows go through the staging table
	sent    bool // a COMMIT was sent, and its answer did not arrive
	counted tally
}

// mostPieces of a batch are so few rows that a server which takes too long for one is not at work.
const mostPieces = 64

// errTimeout is the cause of an attempt that took longer than Config.Timeout.
var errTimeout = errors.New("the attempt to commit took too long")

// Commit stores b and moves its checkpoint, in one transaction, and returns what was counted. It retries through transient
// faults until ctx ends; then the batch is dropped whole, and a COPY under way is aborted. The shard must have been taken by
// Begin of this run and be at b.From.Seq: otherwise the error is shard.ErrStale. A batch that finds all writers busy shares the
// next transaction with others, see group.go.
func (p *Postgres) Commit(ctx context.Context, b shard.Batch) (shard.Counts, error) {
	return p.commit(ctx, &b, 0)
}

// commit is Commit in a round that began with a watermark: events before it are counted as late. 0 means there was none.
func (p *Postgres) commit(ctx context.Context, b *shard.Batch, watermark shard.Instant) (shard.Counts, error) {
	ready, err := prepare(b)
	if err != nil {
		return shard.Counts{}, err
	}
	ready.watermark = watermark
	c := &commit{prepared: ready, staged: ready.duplicateIDs, alone: ready.duplicateIDs || ready.hasDeadLetters(), pieces: 1}
	failpoint.Hit("batch.ordered")
	for try := 0; ; try++ {
		err := p.attempt(ctx, c)
		c.alone = true // in the next attempt
		switch {
		case err == nil:
			failpoint.Hit("commit.done")
			p.outage.end()
			p.logins.accepted()
			p.landed.commit(&c.From, c.counted.Events)
			return c.counted.Counts, nil
		case errors.Is(err, shard.ErrStale):
			return shard.Counts{}, err
		case errors.Is(err, errSeparate) && ctx.Err() == nil: // the next attempt shows which batch was at fault
		case tableChanged(err):
			if err := p.reexamine(ctx); err != nil && !transient(err) {
				return shard.Counts{}, fmt.Errorf("commit %d rows: %w", len(c.order), err)
			}
		case !c.staged && refusesRows(err):
			failpoint.Hit("copy.refused")
			c.staged = true
		case tookTooLong(err) && c.pieces < min(mostPieces, len(c.order)) && ctx.Err() == nil:
			c.pieces *= 2
			p.log.Warn("a COPY exceeds statement_timeout, so that it is divided: is there a slow trigger on ingested_events? A smaller --batch-rows divides all of them",
				"shard", c.From.ID, "rows", len(c.order), "pieces", c.pieces, "statement_timeout", statementTimeout)
		default:
			if err := p.waitOut(ctx, c.From.ID, try, err); err != nil {
				return shard.Counts{}, fmt.Errorf("commit %d rows: %w", len(c.order), err)
			}
		}
	}
}

// transact makes one transaction: checkpoints first, then rows, dead letters and splits, then COMMIT. A nil error means that all
// batches are in, by this transaction or, if there is one batch, by the one before.
func (p *Postgres) transact(ctx context.Context, g group) error {
	whole := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.Timeout*time.Duration(g[0].pieces), errTimeout)
	defer cancel()
	known, err := p.identified(ctx)
	if err != nil {
		return err
	}
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	look, err := guard(ctx, conn.Conn(), known)
	if err != nil {
		return err
	}
	tx, moved, err := p.advance(ctx, conn, g)
	defer func() { rollback(ctx, tx) }()
	switch {
	case err != nil:
		return err
	case !moved && len(g) > 1:
		return errSeparate
	case !moved:
		return p.settle(ctx, tx, g[0])
	}
	failpoint.Hit("checkpoint.moved")
	g.setSent(false)
	if err := store(ctx, tx, g); err != nil {
		return err
	}
	for _, c := range g {
		if err := split(ctx, tx, c.Batch); err != nil {
			return err
		}
	}
	g.setSent(true)
	failpoint.Hit("counts.amended")
	if err := p.finish(whole, conn.Conn(), look); err != nil {
		return err
	}
	tx = nil
	return nil
}

// advance begins the transaction and moves the checkpoints of a group, in one exchange with the server. moved is false if a row
// is not at its batch's seq, not this run's, or of another window.
func (p *Postgres) advance(ctx context.Context, conn *pgxpool.Conn, g group) (tx pgx.Tx, moved bool, err error) {
	all := &pgx.Batch{}
	all.BeginTx(pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	for _, c := range g {
		t := c.expected()
		at, id := key(c.Resume)
		all.Queue(moveCheckpoint, c.From.ID, c.From.Seq, p.config.Run, orNull(c.Cursor), timeOrNull(c.CursorExpires), at, id,
			orNull(string(c.Proof)), t.Received, t.Events, t.Duplicates, t.OutOfWindow, t.DeadLetters, t.OutOfOrder,
			timestamptz(c.From.Window.Start), timestamptz(c.From.Window.End), witnessesOf(c.Batch))
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

// The window is part of the fence because of databases that go back in time: such a one may have forgotten a piece that a batch
// is on its way to, and give its id, with seq 0 and the same run, to the piece of another split.
const moveCheckpoint = `
update ingestion_shards
set seq = seq + 1, cursor = $4, cursor_expires_at = $5, resume_at = $6, resume_id = $7,
    end_proof = $8, state = case when $8::text is null then state else 'done' end,
    received = received + $9, events = events + $10, duplicates = duplicates + $11, out_of_window = out_of_window + $12,
    dead_letters = dead_letters + $13, out_of_order = out_of_order + $14,
    witnesses = case when $17::jsonb is null then witnesses else coalesce(witnesses, '{}') || $17 end,
    last_error = null, updated_at = now()
where id = $1 and seq = $2 and run_id = $3
  and window_start = $15 and window_end = $16`

// settle finds out why the checkpoint did not move. Its lock waits until a transaction of an earlier attempt, which the server
// may still be working on, has ended; a plain read was wrong in 86 % of the cases in which a connection was lost at COMMIT.
func (p *Postgres) settle(ctx context.Context, tx pgx.Tx, c *commit) error {
	var ours bool
	row := shard.Checkpoint{ID: c.From.ID, Shard: c.From.Shard}
	err := tx.QueryRow(ctx, lockCheckpoint, c.From.ID, p.config.Run, timestamptz(c.From.Window.End)).Scan(&row.Seq, &row.Counts.Events, &ours)
	failpoint.Hit("commit.settled")
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		p.landed.gone(&row)
		return fmt.Errorf("shard row %d is gone: %w", c.From.ID, shard.ErrStale)
	case err != nil:
		return err
	case c.sent && ours && row.Seq == c.From.Seq+1:
		return nil // the earlier attempt took effect, and c.counted is what it counted
	}
	p.landed.see(&row)
	return fmt.Errorf("shard row %d is at seq %d, not %d, taken by another run, or of another window: %w", c.From.ID, row.Seq, c.From.Seq, shard.ErrStale)
}

const lockCheckpoint = `
select seq, events, run_id is not distinct from $2::uuid and window_end = $3 from ingestion_shards where id = $1 for update`

// outcome is what became of the events of a batch.
type outcome struct {
	stored    int64
	known     int64 // already in the table
	refused   []shard.Reject
	notStored []*shard.Event // the events behind known and refused
}

// store inserts rows and dead letters, and corrects the counts that advance has assumed.
func store(ctx context.Context, tx pgx.Tx, g group) error {
	if c := g[0]; c.staged {
		found, err := salvage(ctx, tx, c)
		if err != nil {
			return err
		}
		return account(ctx, tx, c, found)
	}
	if err := copyRows(ctx, tx, copyEvents, false, g[0].pieces, g.batches()...); err != nil {
		return err
	}
	failpoint.Hit("copy.done")
	for _, c := range g {
		if err := account(ctx, tx, c, outcome{stored: int64(len(c.order))}); err != nil {
			return err
		}
	}
	return nil
}

const copyEvents = `copy ingested_events (` + copyColumns + `) from stdin (format binary)`

// copyRows runs as many COPYs as it is told, and compares the counts: a trigger that returns null skips rows without an error.
func copyRows(ctx context.Context, tx pgx.Tx, sql string, staged bool, pieces int, batches ...*prepared) error {
	rows := newMerge(batches...)
	for n := range pieces {
		stream := &copyStream{merge: rows, staged: staged, until: rows.total * (n + 1) / pieces}
		want := stream.until - rows.given
		if want == 0 {
			continue
		}
		tag, err := tx.Conn().PgConn().CopyFrom(ctx, stream, sql)
		if err != nil {
			return err
		}
		if copied := tag.RowsAffected(); copied != int64(want) {
			return fmt.Errorf("the server took %d of %d rows without an error: is there a trigger on ingested_events?", copied, want)
		}
	}
	return nil
}

// account inserts the dead letters of a batch whose rows are stored, and corrects its shard's counts if not all went as
// expected. Before and after, received = events + duplicates + out of window + dead letters.
func account(ctx context.Context, tx pgx.Tx, c *commit, found outcome) error {
	id, expected := c.From.ID, c.expected()
	t := expected
	t.Events, t.Duplicates = found.stored, t.Duplicates+found.known
	if rejects := c.deadLetters(found.refused); len(rejects) > 0 {
		fresh, knownBlind, err := insertRejects(ctx, tx, id, rejects)
		if err != nil {
			return err
		}
		t.DeadLetters, t.deadDuplicates = fresh, knownBlind
		t.Duplicates += int64(len(rejects)) - fresh
		failpoint.Hit("letters.in")
	}
	c.counted = t
	if late := c.late(found.notStored); late.Total() > 0 {
		if _, err := tx.Exec(ctx, addLate, id, late.Minute, late.TenMinutes, late.Hour, late.Older, interval(late.Most)); err != nil {
			return err
		}
	}
	if t == expected {
		return nil
	}
	_, err := tx.Exec(ctx, amendCounts, id, t.Events-expected.Events, t.Duplicates-expected.Duplicates,
		t.DeadLetters-expected.DeadLetters, t.deadDuplicates)
	return err
}

const addLate = `
update ingestion_shards
set late_minute = late_minute + $2, late_ten_minutes = late_ten_minutes + $3, late_hour = late_hour + $4,
    late_older = late_older + $5, late_most = greatest(late_most, $6)
where id = $1`

const amendCounts = `
update ingestion_shards
set events = events + $2, duplicates = duplicates + $3, dead_letters = dead_letters + $4, dead_duplicates = dead_duplicates + $5
where id = $1`

// split inserts the pieces that a batch cuts off its shard's window: each becomes a shard of the same round and run, with its
// parent, numbered on from the highest number there is. It is the last statement before the COMMIT. Two shards of a job may split
// at once and would take the same number; no transaction that holds the lock against that still waits for a row.
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
from ingestion_shards where id = $1`

const insertPieces = `
insert into ingestion_shards (job_id, round, shard, parent_id, window_start, window_end, run_id)
select p.job_id, p.round, w.n + (select max(o.shard) from ingestion_shards o where o.job_id = p.job_id and o.round = p.round),
       p.id, w.s, w.e, p.run_id
from ingestion_shards p, unnest($2::timestamptz[], $3::timestamptz[]) with ordinality as w(s, e, n)
where p.id = $1`

// The row has the batch's own window: its checkpoint was moved in the same transaction.
const moveStart = `update ingestion_shards set window_start = $2 where id = $1`

// rollback ends tx if it is open, even if ctx has ended; if the connection is dead, closing it ends the transaction.
func rollback(ctx context.Context, tx pgx.Tx) {
	if tx == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // the attempt's own error has reported the fault
}
