package sink

import (
	"context"
	"fmt"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// round is the database as one round of a job sees it: a Sink, and the checkpoints of that round.
type round struct {
	*Postgres
	jobID      int64
	lateBefore shard.Instant
}

// Shards returns the shards of a job's current round. Events before lateBefore are counted as late; 0 means none are.
func (p *Postgres) Shards(jobID int64, lateBefore shard.Instant) ledger.Shards {
	return &round{p, jobID, lateBefore}
}

// Commit is [Postgres.Commit], and counts the events that come late.
func (r *round) Commit(ctx context.Context, b shard.Batch) (shard.Counts, error) {
	return r.commit(ctx, &b, r.lateBefore)
}

// Load returns the checkpoints of the job's current round, oldest window first.
func (r *round) Load(ctx context.Context) ([]shard.Checkpoint, error) {
	return r.Postgres.Load(ctx, r.jobID)
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
