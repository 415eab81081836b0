package sink

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// outage is a time in which the database takes no commits. All writers share one, so that each kind of fault is logged once:
// a server that goes down and comes back without a free connection has two.
type outage struct {
	log *slog.Logger

	mu    sync.Mutex
	since time.Time
	err   error
	kinds map[string]bool
}

func (o *outage) begin(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	err = explainOutage(err)
	o.err = err
	if o.since.IsZero() {
		o.since, o.kinds = time.Now(), map[string]bool{}
	}
	if kind := kindOf(err); !o.kinds[kind] {
		o.kinds[kind] = true
		o.log.Warn("the database does not take commits, waiting for it", "err", err)
	}
}

// kindOf returns the server's code of a fault; where it said nothing, the line was lost or could not be had.
func kindOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return "line"
}

func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return
	}
	o.log.Info("the database takes commits again", "after", time.Since(o.since).Round(time.Millisecond))
	o.since, o.err = time.Time{}, nil
}

// Waiting returns since when commits wait for the database, and the last fault seen; a zero time: they do not.
func (p *Postgres) Waiting() (since time.Time, err error) {
	p.outage.mu.Lock()
	defer p.outage.mu.Unlock()
	return p.outage.since, p.outage.err
}

// ride waits before the next attempt if err passes by itself, and otherwise returns what to give up with.
func (p *Postgres) ride(ctx context.Context, shardID int64, try int, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !transient(err) {
		return err
	}
	p.outage.begin(err)
	failpoint.Hit("commit.failed")
	switch {
	case hasCode(err, lockNotAvailable):
		p.evict(ctx, shardID)
	case hasCode(err, readOnly), errors.Is(err, context.DeadlineExceeded):
		p.pool.Reset() // after a failover only new connections find the new primary, and where one line is dead, all are
	}
	if hasCode(err, diskFull) {
		return nil // the wait is in fullDisk.enter, for all writers
	}
	return shard.Sleep(ctx, backoff(try))
}

const (
	shortestWait = 100 * time.Millisecond
	longestWait  = 5 * time.Second
	diskFullWait = time.Minute
)

// backoff doubles the wait with every try, and draws it from the upper half, so that writers do not return in lock-step.
func backoff(try int) time.Duration {
	wait := longestWait
	if try < 6 {
		wait = min(shortestWait<<try, longestWait)
	}
	return wait/2 + rand.N(wait/2)
}

// evict ends the sessions of this job that hold the row of a shard, or belong to another run of it and are in a transaction.
// Whoever asks holds the job, so they are dead, though the server cannot know: a process that was stopped inside a COPY is
// beyond every timeout of PostgreSQL, and keeps its locks for ever.
func (p *Postgres) evict(ctx context.Context, shardID int64) {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	tag, err := p.pool.Exec(ctx, terminateHolders, shardID, jobPrefix(p.config.Job), p.name())
	if err != nil && !hasCode(err, undefinedTable) {
		p.log.Warn("cannot look for the session that holds a shard", "err", err)
	}
	if n := tag.RowsAffected(); n > 0 {
		p.log.Warn("ended dead sessions that held a shard", "sessions", n)
		failpoint.Hit("holders.ended")
	}
}

const terminateHolders = `
select pg_catalog.pg_terminate_backend(a.pid)
from pg_catalog.pg_stat_activity a
where a.datname = current_database() and a.pid <> pg_backend_pid() and starts_with(a.application_name, $2)
  and (a.backend_xid = (select s.xmax from public.ingestion_shards s where s.id = $1)
       or a.application_name <> $3 and a.backend_xid is not null)`
