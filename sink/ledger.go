package sink

import (
	"context"
	"fmt"

	"sluice/shard"
)

// Ledger is the database as one round of a job sees it: a Sink, and the checkpoints of that round.
type Ledger struct {
	*Postgres
	JobID     int64
	watermark shard.Instant
}

// Ledger returns the ledger of a job.
func (p *Postgres) Ledger(jobID int64) *Ledger { return &Ledger{Postgres: p, JobID: jobID} }

// After makes it the ledger of a round that began with a watermark: what is stored and lies before it is counted as late.
func (l *Ledger) After(watermark shard.Instant) *Ledger {
	l.watermark = watermark
	return l
}

// Commit is [Postgres.Commit], and counts the events that come late.
func (l *Ledger) Commit(ctx context.Context, b shard.Batch) (shard.Counts, error) {
	return l.commit(ctx, &b, l.watermark)
}

// Load returns the checkpoints of the job's current round, oldest window first.
func (l *Ledger) Load(ctx context.Context) ([]shard.Checkpoint, error) {
	return l.Postgres.Load(ctx, l.JobID)
}

// bounded gives a look at the ledger as much time as an attempt to commit. On a line that went dead without a word it would
// wait for as long as the kernel repeats what nobody answers, a quarter of an hour. What reads the whole table has no bound.
func (p *Postgres) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, p.config.Timeout, errTimeout)
}

// ledgerError wraps an error of the ledger, and says of one that passes by itself that it does.
func ledgerError(err error, format string, args ...any) error {
	wrapped := fmt.Errorf(format+": %w", append(args, err)...)
	if transient(err) {
		return &shard.TransientError{Err: wrapped}
	}
	return wrapped
}
