package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// commit is a batch on its way into the database, over as many attempts as it takes.
type commit struct {
	*load
	alone   bool // it shares no transaction
	staged  bool // the rows go through the staging table
	sent    bool // a COMMIT was sent, and its answer did not come back
	counted tally
}

// errTimeout is the cause of an attempt that took longer than Config.Timeout.
var errTimeout = errors.New("the attempt to commit took too long")

// Commit stores b and moves its checkpoint, in one transaction, and returns what was counted. It keeps trying through faults
// that pass by themselves until ctx ends; then the batch is dropped whole, and a COPY under way is broken off. The row must
// have been taken by Begin of this run: otherwise, or if it is not at b.From.Seq, the error is shard.ErrStale. A batch that
// finds all writers busy shares the next transaction with others, see group.go.
func (p *Postgres) Commit(ctx context.Context, b shard.Batch) (shard.Counts, error) {
	return p.commit(ctx, &b, 0)
}

// commit is Commit in a round that began with a watermark: what lies before it is counted as late. 0: there was none.
func (p *Postgres) commit(ctx context.Context, b *shard.Batch, watermark shard.Instant) (shard.Counts, error) {
	l, err := newLoad(b)
	if err != nil {
		return shard.Counts{}, err
	}
	l.watermark = watermark
	c := &commit{load: l, staged: l.twins, alone: l.twins || l.buries()}
	failpoint.Hit("batch.ordered")
	for try := 0; ; try++ {
		err := p.attempt(ctx, c)
		c.alone = true // if it is tried again
		switch {
		case err == nil:
			failpoint.Hit("commit.done")
			p.outage.end()
			return c.counted.Counts, nil
		case errors.Is(err, shard.ErrStale):
			return shard.Counts{}, err
		case errors.Is(err, errApart) && ctx.Err() == nil: // whose fault it was shows when each is tried alone
		case !c.staged && refusesRows(err):
			failpoint.Hit("copy.refused")
			c.staged = true
		default:
			if err := p.ride(ctx, c.From.ID, try, err); err != nil {
				return shard.Counts{}, fmt.Errorf("commit %d rows: %w", len(c.order), err)
			}
		}
	}
}

// transact makes one transaction. A nil error means that all batches are in, by this one or, where there is one batch, by the
// one before.
func (p *Postgres) transact(ctx context.Context, g group) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, errTimeout)
	defer cancel()
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, moved, err := p.advance(ctx, conn, g)
	defer rollback(ctx, tx)
	switch {
	case err != nil:
		return err
	case !moved && len(g) > 1:
		return errApart
	case !moved:
		return p.settle(ctx, tx, g[0])
	}
	failpoint.Hit("checkpoint.moved")
	g.mark(false)
	if err := p.fill(ctx, tx, g); err != nil {
		return err
	}
	for _, c := range g {
		if err := split(ctx, tx, c.Batch); err != nil {
			return err
		}
	}
	g.mark(true)
	failpoint.Hit("counts.amended")
	return tx.Commit(ctx)
}

// fill stores the rows and the dead letters, and sets right what the checkpoints count.
func (p *Postgres) fill(ctx context.Context, tx pgx.Tx, g group) error {
	if c := g[0]; c.staged {
		found, err := p.salvage(ctx, tx, c.load)
		if err != nil {
			return err
		}
		return account(ctx, tx, c, found)
	}
	if err := copyLoads(ctx, tx, g.loads()); err != nil {
		return err
	}
	for _, c := range g {
		if err := account(ctx, tx, c, findings{stored: int64(len(c.order))}); err != nil {
			return err
		}
	}
	return nil
}

// findings is what became of the events of a batch.
type findings struct {
	stored  int64
	known   int64 // the table has them already
	refused []shard.Reject
	left    []*shard.Event // of the load's order: those that were not stored
}

// account stores the dead letters of a batch whose rows are in, and corrects its checkpoint.
func account(ctx context.Context, tx pgx.Tx, c *commit, found findings) error {
	t := c.expected()
	t.Events, t.Duplicates = found.stored, t.Duplicates+found.known
	letters := c.letters(found.refused)
	if len(letters) > 0 {
		fresh, knownBlind, err := bury(ctx, tx, c.From.ID, letters)
		if err != nil {
			return err
		}
		t.DeadLetters, t.deadDuplicates = fresh, knownBlind
		t.Duplicates += int64(len(letters)) - fresh
		failpoint.Hit("letters.in")
	}
	c.counted = t
	if err := noteLate(ctx, tx, c.From.ID, c.late(found.left)); err != nil {
		return err
	}
	return amend(ctx, tx, c.From.ID, c.expected(), t)
}

const copyEvents = `copy public.ingested_events (` + copyColumns + `) from stdin (format binary)`

// copyLoads stores the rows of all loads, sorted by id, in one COPY.
func copyLoads(ctx context.Context, tx pgx.Tx, loads []*load) error {
	rows := newStream(false, loads...)
	if rows.total == 0 {
		return nil
	}
	if err := copyRows(ctx, tx, copyEvents, rows); err != nil {
		return err
	}
	failpoint.Hit("copy.done")
	return nil
}

// copyRows runs a COPY and compares the count: a trigger that returns null skips rows without an error.
func copyRows(ctx context.Context, tx pgx.Tx, sql string, rows *copyStream) error {
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, rows, sql)
	if err != nil {
		return err
	}
	if copied := tag.RowsAffected(); copied != int64(rows.total) {
		return fmt.Errorf("the server took %d of %d rows without an error: is there a trigger on ingested_events?", copied, rows.total)
	}
	return nil
}

// rollback ends tx if it is open. It must not be kept from it by a context that has ended; where the line is dead, closing it
// ends the transaction.
func rollback(ctx context.Context, tx pgx.Tx) {
	if tx == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // what it could say, the attempt's own error has said
}
