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

// jobLock keeps every other run away from a job. It is an advisory lock on a connection of its own: it ends with the process,
// however that ends. Who takes it takes the shards too.
type jobLock struct {
	p    *Postgres
	conn *pgx.Conn
	told bool // by this session: that the operator holds the run
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
		if !errors.Is(err, ledger.ErrLocked) || time.Now().After(deadline) {
			return nil, err
		}
		if err := shard.Sleep(ctx, lockRetry); err != nil {
			return nil, err
		}
	}
}

// Watch blocks while the lock is held, and returns why it is not held any more: ledger.ErrLocked if another run has it. After
// a lost connection it takes the lock again, so that a restart of the server does not end the run. Until it could, two runs
// may believe that the job is theirs; the shards' rows know better. nil: ctx has ended.
func (l *jobLock) Watch(ctx context.Context) error {
	for l.rest(ctx) == nil {
		if l.ping(ctx) == nil {
			continue
		}
		if err := l.retake(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// Close gives the job back. Watch must have returned.
func (l *jobLock) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx) // a connection that cannot even be closed holds no lock for long
}

// ping tells, too, whether the operator holds the run, where that is news. It is not broken off by the end of ctx: that would close the connection, and give the job back while its last commits are
// under way.
func (l *jobLock) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockPing)
	defer cancel()
	if held := held(l.p.config.Pause); held != l.told {
		return l.tell(ctx, held)
	}
	return l.conn.Ping(ctx)
}

func (l *jobLock) retake(ctx context.Context) error {
	l.Close(ctx)
	return l.again(ctx)
}

// again tries until the lock is taken or another run is found to hold it.
func (l *jobLock) again(ctx context.Context) error {
	for try := 0; ; try++ {
		err := l.take(ctx)
		var own *shard.TransientError
		if err == nil || !errors.As(err, &own) && !transient(err) {
			return err
		}
		if err := shard.Sleep(ctx, backoff(try)); err != nil {
			return err
		}
	}
}

// take connects and tries to get the lock.
func (l *jobLock) take(ctx context.Context) error {
	ctx, cancel := l.p.bounded(ctx)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, l.p.pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connect for the lock of job %s: %w", l.p.config.Job, err)
	}
	var got bool
	if err = conn.QueryRow(ctx, tryLock, lockKey(l.p.config.Job)).Scan(&got); err == nil && got {
		l.conn, l.told = conn, false
		return l.claim(ctx)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err != nil {
		return fmt.Errorf("lock job %s: %w", l.p.config.Job, err)
	}
	return l.refused(ctx, conn)
}

const tryLock = `select pg_catalog.pg_try_advisory_lock($1)`

// claim makes all shards of the job this run's, where it was made already. An older run that was only asleep, or whose lock
// was lost without its knowing, can from here on neither begin a shard nor commit to one, whatever it believes. Only where a
// row stays locked for lock_timeout, the sessions that hold it are ended: a replay of dead letters takes less.
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

// claimAll claims until nothing is left. A statement sees what was there when it began: while it waits for the row of a shard
// whose last commit is on its way, that commit may split the window, and the pieces are seen by the next statement only. Once a
// statement finds nothing, all rows are ours, and nobody else can make one.
func (l *jobLock) claimAll(ctx context.Context) error {
	for {
		tag, err := l.conn.Exec(ctx, claimShards, l.p.config.Job, l.p.config.Run)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
	}
}

const claimShards = `
update public.ingestion_shards s set run_id = $2
from public.ingestion_jobs j
where j.name = $1 and s.job_id = j.id and s.state <> 'done' and s.run_id is distinct from $2`

// refused tells who has the lock. If that is a lost connection of this very run, which the server has not yet given up, it is
// ended; the next try will succeed.
func (l *jobLock) refused(ctx context.Context, conn *pgx.Conn) error {
	key := lockKey(l.p.config.Job)
	other := &ledger.LockedError{Job: l.p.config.Job}
	err := conn.QueryRow(ctx, selectHolder, uint32(key>>32), uint32(key)).Scan(&other.PID, &other.Application, &other.Since)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("look who holds job %s: %w", l.p.config.Job, err)
	}
	if other.Application == l.p.name() {
		_, err := conn.Exec(ctx, terminateHolder, other.PID)
		return &shard.TransientError{Err: cmp.Or(err, error(other))}
	}
	return other
}

const selectHolder = `
select a.pid, coalesce(a.application_name, ''), coalesce(a.backend_start, now())
from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.classid = $1 and l.objid = $2
  and l.database = (select oid from pg_catalog.pg_database where datname = current_database())`

const terminateHolder = `select pg_catalog.pg_terminate_backend($1)`

func lockKey(job string) int64 { return advisory("sluice job " + job) }

// advisory returns the number of the advisory lock of that name.
func advisory(name string) int64 {
	hash := fnv.New64a()
	hash.Write([]byte(name))
	return int64(hash.Sum64())
}

// rest waits until the lock's session is to be looked after again: now and then, and as soon as the operator has turned the gate.
func (l *jobLock) rest(ctx context.Context) error {
	timer := time.NewTimer(lockPing)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.p.config.Pause.Changed():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// tell lets those who look at the tables see whether the operator holds the run, by another lock of the same session: so it ends
// with the run, however that ends, and nothing is written.
func (l *jobLock) tell(ctx context.Context, held bool) error {
	statement := letGo
	if held {
		statement = takeHold
	}
	_, err := l.conn.Exec(ctx, statement, pauseKey(l.p.config.Job))
	if err == nil {
		l.told = held
	}
	return err
}

const (
	takeHold = `select pg_catalog.pg_try_advisory_lock($1)`
	letGo    = `select pg_catalog.pg_advisory_unlock($1)`
)

func pauseKey(job string) int64 { return advisory("sluice pause " + job) }

// paused tells whether the operator holds the run whose session that is.
func (p *Postgres) paused(ctx context.Context, holder *ledger.LockedError) (held bool, err error) {
	key := pauseKey(holder.Job)
	if err = p.pool.QueryRow(ctx, selectPaused, uint32(key>>32), uint32(key), holder.PID).Scan(&held); err != nil {
		return false, ledgerError(err, "look whether job %s is paused", holder.Job)
	}
	return held, nil
}

const selectPaused = `
select exists (select from pg_catalog.pg_locks
  where locktype = 'advisory' and granted and objsubid = 1 and classid = $1 and objid = $2 and pid = $3)`

// held tells whether the gate is shut.
func held(g *shard.Pause) bool {
	_, shut := g.Paused()
	return shut
}
