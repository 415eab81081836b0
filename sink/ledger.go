package sink

import (
	"context"
	"fmt"

	"sluice/shard"
)

// Ledger is the database as one job sees it: a Sink, and the checkpoints of that job.
type Ledger struct {
	*Postgres
	JobID int64
}

// Ledger returns the ledger of a job.
func (p *Postgres) Ledger(jobID int64) *Ledger { return &Ledger{Postgres: p, JobID: jobID} }

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
