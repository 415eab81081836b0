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
	staged  bool // the rows go through the staging table
	sent    bool // a COMMIT was sent, and its answer did not come back
	counted tally
}

// errTimeout is the cause of an attempt that took longer than Config.Timeout.
var errTimeout = errors.New("the attempt to commit took too long")

// Commit stores b and moves its checkpoint, in one transaction, and returns what was counted. It keeps trying through faults
// that pass by themselves until ctx ends; then the batch is dropped whole, and a COPY under way is broken off. The row must
// have been taken by Begin of this run: otherwise, or if it is not at b.From.Seq, the error is shard.ErrStale.
func (p *Postgres) Commit(ctx context.Context, b shard.Batch) (shard.Counts, error) {
	l, err := newLoad(&b)
	if err != nil {
		return shard.Counts{}, err
	}
	c := &commit{load: l, staged: l.twins}
	failpoint.Hit("batch.ordered")
	for try := 0; ; try++ {
		err := p.attempt(ctx, c)
		switch {
		case err == nil:
			failpoint.Hit("commit.done")
			p.outage.end()
			return c.counted.Counts, nil
		case errors.Is(err, shard.ErrStale):
			return shard.Counts{}, err
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

// attempt waits for its turn and makes one transaction. A nil error means that the batch is in, by this attempt or by the one
// before.
func (p *Postgres) attempt(ctx context.Context, c *commit) error {
	if err := p.writers.Acquire(ctx, 1); err != nil {
		return err
	}
	defer p.writers.Release(1)
	turn, err := p.disk.enter(ctx)
	if err != nil {
		return err
	}
	err = p.transact(ctx, c)
	p.disk.leave(turn, err)
	return err
}

func (p *Postgres) transact(ctx context.Context, c *commit) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, errTimeout)
	defer cancel()
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, moved, err := p.advance(ctx, conn, c)
	defer rollback(ctx, tx)
	switch {
	case err != nil:
		return err
	case !moved:
		return p.settle(ctx, tx, c)
	}
	failpoint.Hit("checkpoint.moved")
	c.sent = false
	if err := p.fill(ctx, tx, c); err != nil {
		return err
	}
	c.sent = true
	failpoint.Hit("counts.amended")
	return tx.Commit(ctx)
}

// fill stores the rows and the dead letters, and sets right what the checkpoint counts.
func (p *Postgres) fill(ctx context.Context, tx pgx.Tx, c *commit) error {
	found, err := p.store(ctx, tx, c)
	if err != nil {
		return err
	}
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
	return amend(ctx, tx, c.From.ID, c.expected(), t)
}

// findings is what became of the events of a batch.
type findings struct {
	stored  int64
	known   int64 // the table has them already
	refused []shard.Reject
}

func (p *Postgres) store(ctx context.Context, tx pgx.Tx, c *commit) (findings, error) {
	if len(c.order) == 0 {
		return findings{}, nil
	}
	if c.staged {
		return p.salvage(ctx, tx, c.load)
	}
	if err := copyRows(ctx, tx, copyEvents, c.stream(false)); err != nil {
		return findings{}, err
	}
	failpoint.Hit("copy.done")
	return findings{stored: int64(len(c.order))}, nil
}

const copyEvents = `copy public.ingested_events (` + copyColumns + `) from stdin (format binary)`

// copyRows runs a COPY and compares the count: a trigger that returns null skips rows without an error.
func copyRows(ctx context.Context, tx pgx.Tx, sql string, rows *copyStream) error {
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, rows, sql)
	if err != nil {
		return err
	}
	if copied := tag.RowsAffected(); copied != int64(len(rows.order)) {
		return fmt.Errorf("the server took %d of %d rows without an error: is there a trigger on ingested_events?", copied, len(rows.order))
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
