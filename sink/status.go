package sink

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Status is a job as the ledger shows it, for people.
type Status struct {
	Job     *ledger.Job
	Shards  []ShardStatus       // of the current round, oldest window first
	Earlier shard.Counts        // of all other rounds
	Rounds  []*ledger.Round     // the last ones, the newest first; none of a job with its first load alone
	Holder  *ledger.LockedError // the run that holds the job now; nil: none
	Paused  bool                // its operator has paused it
}

// ShardStatus is a checkpoint and when it moved.
type ShardStatus struct {
	shard.Checkpoint
	StartedAt, UpdatedAt time.Time // zero: not yet
}

// Status returns what is known of the job of that name; nil if there is none.
func (p *Postgres) Status(ctx context.Context, name string) (*Status, error) {
	job, found, err := p.Job(ctx, name)
	if err != nil || !found {
		return nil, err
	}
	checkpoints, err := p.Load(ctx, job.ID)
	if err != nil {
		return nil, err
	}
	s := &Status{Job: job, Shards: make([]ShardStatus, len(checkpoints))}
	for i, c := range checkpoints {
		s.Shards[i].Checkpoint = c
	}
	if err := p.readTimes(ctx, s); err != nil {
		return nil, ledgerError(err, "read the times of job %s", name)
	}
	if s.Earlier, err = p.Earlier(ctx, job.ID); err != nil {
		return nil, err
	}
	if job.Round > 1 {
		if s.Rounds, err = p.Rounds(ctx, job.ID); err != nil {
			return nil, err
		}
	}
	if s.Holder, err = p.Holder(ctx, name); err != nil || s.Holder == nil {
		return s, err
	}
	s.Paused, err = p.paused(ctx, s.Holder)
	return s, err
}

func (p *Postgres) readTimes(ctx context.Context, s *Status) error {
	byID := make(map[int64]*ShardStatus, len(s.Shards))
	for i := range s.Shards {
		byID[s.Shards[i].ID] = &s.Shards[i]
	}
	rows, _ := p.pool.Query(ctx, selectTimes, s.Job.ID)
	var id int64
	var started *time.Time
	var updated time.Time
	_, err := pgx.ForEachRow(rows, []any{&id, &started, &updated}, func() error {
		if shard := byID[id]; shard != nil {
			shard.StartedAt, shard.UpdatedAt = orZero(started), updated
		}
		return nil
	})
	return err
}

const selectTimes = `select id, started_at, updated_at from public.ingestion_shards where job_id = $1`

// Holder returns the session that holds the job of that name; nil: none.
func (p *Postgres) Holder(ctx context.Context, name string) (*ledger.LockedError, error) {
	holder := &ledger.LockedError{Job: name}
	key := lockKey(name)
	err := p.pool.QueryRow(ctx, selectHolder, uint32(key>>32), uint32(key)).Scan(&holder.PID, &holder.Application, &holder.Since)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, ledgerError(err, "look who holds job %s", name)
	}
	return holder, nil
}

// Jobs returns the names of all jobs, in the order in which they were made.
func (p *Postgres) Jobs(ctx context.Context) ([]string, error) {
	rows, _ := p.pool.Query(ctx, selectJobs)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if hasCode(err, undefinedTable) {
		return nil, nil
	}
	if err != nil {
		return nil, ledgerError(err, "list the jobs")
	}
	return names, nil
}

const selectJobs = `select name from public.ingestion_jobs order by id`
