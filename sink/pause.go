package sink

import (
	"context"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

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
