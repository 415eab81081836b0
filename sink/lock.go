package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// jobLock keeps every other run away from a job. It is an advisory lock on a connection of its own, so it ends with the process,
// however that ends. Taking it also claims the shards.
type jobLock struct {
	p      *Postgres
	conn   *pgx.Conn
	paused bool // this session shows that the operator has paused the run
}

const (
	lockPatience = 10 * time.Second // the session of a killed run may live on for some milliseconds, or a timeout
	lockRetry    = 200 * time.Millisecond
	lockPing     = 3 * time.Second
)

// Lock takes the job for this run. It tries for ten seconds.
func (p *Postgres) Lock(ctx context.Context) (ledger.Lock, error) {
	l := &jobLock{p: p}
	deadline := time.Now().Add(lockPatience)
	for {
		err := l.take(ctx)
		if err == nil {
			failpoint.Hit("lock.taken")
			return l, nil
		}
		switch {
		case !errors.Is(err, ledger.ErrLocked):
			return nil, &DatabaseError{err}
		case time.Now().After(deadline):
			return nil, err
		}
		if err := shard.Sleep(ctx, lockRetry); err != nil {
			return nil, err
		}
	}
}

// Watch blocks while the lock is held, and returns why it is lost: ledger.ErrLocked if another run has it. After a lost
// connection it takes the lock again, so that a restart of the server does not end the run. Until it succeeds, two runs may
// believe that they hold the job; the rows of the shards decide. It returns nil when ctx has ended.
func (l *jobLock) Watch(ctx context.Context) error {
	for {
		timer := time.NewTimer(lockPing)
		select {
		case <-timer.C:
		case <-l.p.config.Pause.Changed():
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
		if l.ping(ctx) == nil {
			continue
		}
		l.Close(ctx)
		if err := l.retake(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// Close gives the job back. Watch must have returned.
func (l *jobLock) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx) // a connection that cannot even be closed holds no lock for long
}

// ping checks the lock's session. If the operator has paused or resumed the run, it shows that by another lock of the session,
// which ends with the run, however that ends, and writes nothing. The end of ctx does not interrupt it: that would close the
// connection, and give the job back while its last commits are under way.
func (l *jobLock) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockPing)
	defer cancel()
	_, paused := l.p.config.Pause.Paused()
	if paused == l.paused {
		return l.conn.Ping(ctx)
	}
	statement := releaseLock
	if paused {
		statement = tryLock
	}
	_, err := l.conn.Exec(ctx, statement, l.p.config.pauseKey(l.p.config.Job))
	if err == nil {
		l.paused = paused
	}
	return err
}

// retake tries until the lock is taken again, or another run is found to hold it.
func (l *jobLock) retake(ctx context.Context) error {
	for try := 0; ; try++ {
		err := l.take(ctx)
		var own *shard.TransientError
		if err = l.p.judge(err); err == nil || !errors.As(err, &own) && !transient(err) {
			return err
		}
		if err := shard.Sleep(ctx, backoff(try)); err != nil {
			return err
		}
	}
}

// take connects and tries once to get the lock.
func (l *jobLock) take(ctx context.Context) error {
	ctx, cancel := l.p.bounded(ctx)
	defer cancel()
	job := l.p.config.Job
	conn, err := l.p.connect(ctx)
	if err != nil {
		return fmt.Errorf("connect for the lock of job %s: %w", job, err)
	}
	var got bool
	if err = conn.QueryRow(ctx, tryLock, l.p.config.lockKey(job)).Scan(&got); err == nil && got {
		l.conn, l.paused = conn, false
		return l.claim(ctx)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err != nil {
		return fmt.Errorf("lock job %s: %w", job, err)
	}
	holder, err := holderOf(ctx, conn, l.p.config.lockKey(job), job)
	if err != nil {
		return l.p.ledgerError(err, "take job %s", job)
	}
	if holder.Application == l.p.name() { // our own lost connection, which the server has not given up yet: the next try will succeed
		_, err := conn.Exec(ctx, terminateHolder, holder.PID)
		return &shard.TransientError{Err: cmp.Or(err, error(holder))}
	}
	return holder
}

const (
	tryLock         = `select pg_catalog.pg_try_advisory_lock($1)`
	releaseLock     = `select pg_catalog.pg_advisory_unlock($1)`
	terminateHolder = `select pg_catalog.pg_terminate_backend($1)`
)

// claim makes all unfinished shards of the job this run's. An older run that was only asleep, or has lost its lock without
// noticing, can from then on neither begin a shard nor commit to one. Sessions that hold a row are ended only if it stays locked
// for lock_timeout: a replay of dead letters takes less.
func (l *jobLock) claim(ctx context.Context) error {
	err := l.claimAll(ctx)
	if hasCode(err, lockNotAvailable) {
		l.p.terminateHolders(ctx, 0)
		err = l.claimAll(ctx)
	}
	if err == nil || hasCode(err, undefinedTable) {
		return nil
	}
	l.Close(ctx)
	return fmt.Errorf("claim the shards of job %s: %w", l.p.config.Job, err)
}

// claimAll claims until no shard is left. A statement sees the rows as they were when it began: while it waits for the row of a
// shard whose last commit is on its way, that commit may split the window, and only the next statement sees the pieces. Once a
// statement finds nothing, all rows are ours, and no other run can make one.
func (l *jobLock) claimAll(ctx context.Context) error {
	for {
		tag, err := l.conn.Exec(ctx, claimShards, l.p.config.Job, l.p.config.Run)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
	}
}

const claimShards = `
update ingestion_shards s set run_id = $2
from ingestion_jobs j
where j.name = $1 and s.job_id = j.id and s.state <> 'done' and s.run_id is distinct from $2`

// holderOf returns the session that holds a job; its PID is 0 if there is none.
func holderOf(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, key int64, job string) (*ledger.LockedError, error) {
	holder := &ledger.LockedError{Job: job}
	err := db.QueryRow(ctx, selectHolder, uint32(key>>32), uint32(key)).Scan(&holder.PID, &holder.Application, &holder.Since)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("look who holds job %s: %w", job, err)
	}
	return holder, nil
}

const selectHolder = `
select a.pid, coalesce(a.application_name, ''), coalesce(a.backend_start, now())
from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.classid = $1 and l.objid = $2
  and l.database = (select oid from pg_catalog.pg_database where datname = current_database())`

// paused reports whether the operator has paused the run whose session that is.
func (p *Postgres) paused(ctx context.Context, holder *ledger.LockedError) (paused bool, err error) {
	key := p.config.pauseKey(holder.Job)
	err = p.pool.QueryRow(ctx, selectPaused, uint32(key>>32), uint32(key), holder.PID).Scan(&paused)
	return paused, p.ledgerError(err, "look whether job %s is paused", holder.Job)
}

const selectPaused = `
select exists (select from pg_catalog.pg_locks
  where locktype = 'advisory' and granted and objsubid = 1 and classid = $1 and objid = $2 and pid = $3)`

func (c Config) lockKey(job string) int64  { return advisoryKey("sluice job " + c.scope(job)) }
func (c Config) pauseKey(job string) int64 { return advisoryKey("sluice pause " + c.scope(job)) }

// advisoryKey returns the number of the advisory lock of that name.
func advisoryKey(name string) int64 {
	hash := fnv.New64a()
	hash.Write([]byte(name))
	return int64(hash.Sum64())
}
