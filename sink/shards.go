package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Load returns the checkpoints of a job's current round, oldest window first.
func (p *Postgres) Load(ctx context.Context, jobID int64) ([]shard.Checkpoint, error) {
	all, err := loadShards(ctx, p, jobID, scanCheckpoint)
	for i := range all {
		p.landed.see(&all[i])
	}
	return all, err
}

func loadShards[T any](ctx context.Context, p *Postgres, jobID int64, scan pgx.RowToFunc[T]) ([]T, error) {
	all, err := list(ctx, p, scan, selectShards, jobID)
	return all, p.ledgerError(err, "read the shards of job %d", jobID)
}

const shardColumns = `s.id, s.shard, coalesce(s.parent_id, 0), s.window_start, s.window_end, s.seq, coalesce(s.cursor, ''), s.cursor_expires_at, s.resume_at,
       s.resume_id, s.received, s.events, s.duplicates, s.out_of_window, s.dead_letters, s.out_of_order,
       coalesce(s.end_proof, ''), s.state, s.reopened, s.attempts, coalesce(s.last_error, ''), s.started_at, s.updated_at`

const selectShards = `
select ` + shardColumns + `
from ingestion_shards s join ingestion_jobs j on j.id = s.job_id and j.round = s.round
where s.job_id = $1
order by s.window_start`

func scanCheckpoint(row pgx.CollectableRow) (shard.Checkpoint, error) {
	s, err := scanShard(row)
	return s.Checkpoint, err
}

func scanShard(row pgx.CollectableRow) (ShardStatus, error) { return scanShardAnd(row) }

// scanShardAnd reads the columns of a shard, and more.
func scanShardAnd(row pgx.CollectableRow, more ...any) (s ShardStatus, err error) {
	var start, end, resumeAt pgtype.Timestamptz
	var resumeID pgtype.UUID
	var expires, started *time.Time
	c, n := &s.Checkpoint, &s.Counts
	err = row.Scan(append([]any{&c.ID, &c.Shard, &c.Parent, &start, &end, &c.Seq, &c.Cursor, &expires, &resumeAt, &resumeID,
		&n.Received, &n.Events, &n.Duplicates, &n.OutOfWindow, &n.DeadLetters, &n.OutOfOrder,
		&c.Proof, &c.State, &c.Reopened, &c.Attempts, &c.LastError, &started, &s.UpdatedAt}, more...)...)
	c.Window = shard.Window{Start: instant(start), End: instant(end)}
	c.Resume, c.CursorExpires, s.StartedAt = keyOf(resumeAt, resumeID), orZero(expires), orZero(started)
	return s, err
}

// Begin starts an attempt of a shard and returns its checkpoint. A session of a dead run that still holds the row is ended. The
// error is shard.ErrStale if the shard is done, or if a later run has claimed it.
func (p *Postgres) Begin(ctx context.Context, id int64) (shard.Checkpoint, error) {
	c, err := one(ctx, p, scanCheckpoint, beginShard, id, p.config.Run)
	if hasCode(err, lockNotAvailable) {
		p.terminateHolders(ctx, id)
		c, err = one(ctx, p, scanCheckpoint, beginShard, id, p.config.Run)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		err = p.whyNot(ctx, id)
	}
	if errors.Is(err, shard.ErrStale) {
		return c, fmt.Errorf("begin shard row %d: %w", id, err)
	}
	if err == nil {
		p.landed.see(&c)
	}
	return c, p.ledgerError(err, "begin shard row %d", id)
}

// ErrGone: the ledger has lost a shard. No retry helps.
var ErrGone = errors.New("the row is gone from ingestion_shards: was the table emptied, or the database put back to before the job?")

// whyNot distinguishes a shard that is done from one whose row is gone.
func (p *Postgres) whyNot(ctx context.Context, id int64) error {
	there, err := one(ctx, p, pgx.RowTo[bool], selectShard, id)
	switch {
	case err != nil:
		return err
	case there:
		return shard.ErrStale
	}
	return ErrGone
}

const selectShard = `select exists (select from ingestion_shards where id = $1)`

const beginShard = `
update ingestion_shards s
set state = 'running', attempts = attempts + 1, run_id = $2, started_at = coalesce(started_at, now()), updated_at = now()
where s.id = $1 and s.state <> 'done'
  and (s.run_id is null or s.run_id = $2)
returning ` + shardColumns

// Fail records why an attempt ended: in state pending if the shard will be tried again, failed if a retry cannot help. A shard
// that another run has taken, or that is done, is left alone.
func (p *Postgres) Fail(ctx context.Context, id int64, state shard.State, msg string) error {
	_, err := p.exec(ctx, failShard, id, p.config.Run, string(state), printable(msg))
	return p.ledgerError(err, "record the fault of shard row %d", id)
}

const failShard = `
update ingestion_shards
set state = $3, last_error = nullif($4, ''), updated_at = now()
where id = $1 and run_id = $2 and state <> 'done'`

// Reopen makes shards suspect, so that their windows are walked again from the end. In one transaction it counts the rows of every
// window, calls choose with the figures, and does what that says: nothing that was counted before is believed. The caller holds
// the job's lock; the rows of the shards are locked, because a replay of dead letters changes their counts without it.
func (p *Postgres) Reopen(ctx context.Context, jobID int64, choose func(ledger.Audit) ledger.Reopening) error {
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		for _, lock := range []string{lockRevived, lockJobShards} { // letters first, as a replay does
			if _, err := tx.Exec(ctx, lock, jobID); err != nil {
				return err
			}
		}
		a, err := examine(ctx, tx, jobID, countByWindow)
		if err != nil {
			return err
		}
		return p.reopen(ctx, tx, jobID, choose(a))
	})
	return p.ledgerError(err, "reopen shards of job %d", jobID)
}

const (
	lockRevived   = `select from dead_letters d where ` + revived + ` order by id for update`
	lockJobShards = `select from ingestion_shards where job_id = $1 order by id for update`
)

func (p *Postgres) reopen(ctx context.Context, tx pgx.Tx, jobID int64, r ledger.Reopening) error {
	if _, err := tx.Exec(ctx, setRowsBefore, jobID, r.RowsBefore); err != nil {
		return err
	}
	var batch pgx.Batch
	if r.Accepted {
		batch.Queue(forgetVanished, jobID)
	}
	for _, s := range r.Shards {
		batch.Queue(recountShard, s.ID, s.Events, s.Expected, s.Revived)
		if s.Revived > 0 {
			batch.Queue(reviveLetters, jobID, s.ID)
			batch.Queue(forgetVerified, jobID)
		}
		if s.Walk {
			batch.Queue(reopenShard, s.ID, p.config.Run)
		}
	}
	for _, f := range r.Filled {
		batch.Queue(insertFilled, jobID, f.Round, timestamptz(f.Start), timestamptz(f.End), f.Events, f.Expected, f.Finished, p.config.Run)
	}
	return tx.SendBatch(ctx, &batch).Close()
}

const (
	setRowsBefore = `update ingestion_jobs set rows_before = $2 where id = $1`
	recountShard  = `
update ingestion_shards
set received = received + $2 - events + $4, events = $2, dead_letters = dead_letters + $4, expected = coalesce($3, expected),
    updated_at = now()
where id = $1`
	forgetVanished = `
update ingestion_shards set expected = null, verified_rows = null, witnesses = null
where job_id = $1 and (expected is not null or verified_rows is not null or witnesses is not null)`
	// forgetVerified: the window in which a dead letter was a row is not known.
	forgetVerified = `update ingestion_shards set verified_rows = null where job_id = $1`
	reviveLetters  = `update dead_letters d set replayed_at = null, replayed_as = null where ` + revived + ` and d.shard_id = $2`
	// The seq moves, so that a commit from before, which may still be under way, is stale. What the window must have from now on is in its
	// counts and expected: other rows that it had when it was verified, and that are gone, are no shard's.
	reopenShard = `
update ingestion_shards
set state = 'suspect', run_id = $2, seq = seq + 1, reopened = reopened + 1, cursor = null, cursor_expires_at = null, resume_at = null, resume_id = null, end_proof = null,
    verified_rows = null
where id = $1`
	insertFilled = `
insert into ingestion_shards (job_id, round, shard, window_start, window_end, received, events, expected, state, end_proof, run_id, reopened)
select $1, $2, coalesce(max(shard), 0) + 1, $3, $4, $5, $5, $6, case when $7 then 'done' else 'suspect' end, case when $7 then 'confirmed' end, $8, 1
from ingestion_shards where job_id = $1 and round = $2`
)

// round is one round of a job: a Sink, and its checkpoints.
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
