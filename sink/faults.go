package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// SQLSTATE codes that are used by name (PostgreSQL manual, appendix A).
const (
	protocolViolation = "08P01"
	diskFull          = "53100"
	lockNotAvailable  = "55P03"
	uniqueViolation   = "23505"
	undefinedTable    = "42P01"
	readOnly          = "25006"
	invalidText       = "22P02"
	queryCanceled     = "57014"
)

// passing are the codes of transient faults, beside the classes 08 and 53.
var passing = map[string]bool{
	"25006": true, // read-only: a standby, or a primary being demoted
	"25P03": true, // we were idle in the transaction for too long: a paused process
	"25P04": true, // transaction timeout
	"40001": true, // serialization failure
	"40P01": true, // deadlock
	"55P03": true, // lock timeout
	"55006": true, // object in use
	"57014": true, // statement timeout, or cancelled by an operator; never of our own making, see copyStream
	"57P01": true, // admin shutdown, terminated backend
	"57P02": true, // another backend crashed
	"57P03": true, // starting up or shutting down
	"57P05": true, // idle session timeout
	"58030": true, // I/O error
}

// transient reports whether err passes by itself, so that the same batch may be tried again. An unknown fault does not.
func transient(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, new(*shard.StopError)) {
		return false
	}
	if errors.Is(err, errPassword) {
		return true
	}
	if errors.As(err, &pg) {
		return passing[pg.Code] || refusesLogin(err) || inClass(pg, "08") && pg.Code != protocolViolation || inClass(pg, "53")
	}
	return connectionLost(err)
}

// unfit reports whether only the operator can end a fault: a privilege, a table, a column or a schema is gone (class 42 and 3F, unless
// a trigger raised it), or rows of the ledger are.
func unfit(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, ErrGone) || errors.As(err, &pg) && (inClass(pg, "42") || inClass(pg, "3F")) && pg.Routine != "exec_stmt_raise"
}

// refusesLogin reports whether the server lets us open no session. That may pass: passwords are renewed, see Config.Password.
func refusesLogin(err error) bool {
	return hasCode(err, wrongPassword, notAuthorized) || errors.Is(err, errPassword)
}

// loginPatience is how long refused logins are tried again.
const loginPatience = 15 * time.Second

// logins is since when no session could be opened.
type logins struct {
	patience time.Duration

	mu    sync.Mutex
	since time.Time
}

func (l *logins) accepted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = time.Time{}
}

// refused returns the error, as a *shard.StopError if it has lasted too long.
func (l *logins) refused(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() {
		l.since = time.Now()
	}
	if time.Since(l.since) < l.patience {
		return err
	}
	hint := passwordHint
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		hint = refusalHints[pg.Code]
	}
	return &shard.StopError{Reason: shard.Refused, Hint: hint,
		Err: fmt.Errorf("the database refuses the login since %v: %w", time.Since(l.since).Round(time.Second), err)}
}

// connectionLost reports whether the connection broke or could not be made. The server has then sent no answer; whether it did
// its work is for settle to find out.
func connectionLost(err error) bool {
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network), pgconn.SafeToRetry(err):
		return true
	}
	for _, broken := range []error{pgconn.ErrReadOnlyConnection, pgconn.ErrStandbyConnection, // a switchover, before the next primary is one
		io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed,
		syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return false
}

// refusesRows reports whether the fault is with the rows: a key that exists already, a value that does not fit, a constraint, or what
// a trigger raises, by whatever code.
func refusesRows(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || transient(err) || tableChanged(err) {
		return false
	}
	for _, class := range []string{"09", "20", "21", "22", "23", "27", "2F", "38", "39", "44", "54", "P0"} {
		if inClass(pg, class) {
			return true
		}
	}
	return pg.Routine == "exec_stmt_raise" || !strings.Contains(serverClasses, pg.Code[:min(2, len(pg.Code))])
}

// serverClasses are those of SQLSTATEs that PostgreSQL gives itself; a trigger in another language may have its own.
const serverClasses = "00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX"

// tookTooLong reports whether the server ended a statement at its timeout. (A cancellation by an operator has the same code.)
func tookTooLong(err error) bool { return hasCode(err, queryCanceled) }

func inClass(pg *pgconn.PgError, class string) bool { return strings.HasPrefix(pg.Code, class) }

func hasCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains(codes, pg.Code)
}

// outage is a time in which the database takes no commits. All writers share it, so that each kind of fault is logged once: a
// server that goes down and comes back without a free connection has two.
type outage struct {
	log *slog.Logger

	mu    sync.Mutex
	since time.Time
	err   error
	kinds map[string]bool
}

func (o *outage) begin(err error) {
	kind := "connection"
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		kind = pg.Code
	case errors.Is(err, errStandby):
		kind = "standby"
	}
	if kind == diskFull {
		err = fmt.Errorf("%w (%w)", ErrDiskFull, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
	if o.since.IsZero() {
		o.since, o.kinds = time.Now(), map[string]bool{}
	}
	if !o.kinds[kind] {
		o.kinds[kind] = true
		o.log.Warn("the database does not take commits, waiting for it", "err", err)
	}
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

// Waiting returns since when commits have been waiting for the database, and the last fault. A zero time means that none waits.
func (p *Postgres) Waiting() (since time.Time, err error) {
	p.outage.mu.Lock()
	defer p.outage.mu.Unlock()
	return p.outage.since, p.outage.err
}

// waitOut waits before the next attempt if err is transient, and otherwise returns the error to give up with.
func (p *Postgres) waitOut(ctx context.Context, shardID int64, try int, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err = p.judge(err); !transient(err) {
		return err
	}
	p.outage.begin(err)
	failpoint.Hit("commit.failed")
	switch {
	case hasCode(err, lockNotAvailable):
		p.terminateHolders(ctx, shardID)
	case hasCode(err, readOnly), errors.Is(err, context.DeadlineExceeded):
		p.pool.Reset() // after a failover only new connections reach the new primary, and if one connection is dead, all are
	}
	if hasCode(err, diskFull) {
		return nil // fullDisk.enter waits, for all writers
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

// terminateHolders ends the sessions of this job that hold the row of a shard, or belong to another run of it and are in a
// transaction. The caller holds the job, so they are dead, though the server cannot know: a process that was stopped inside a
// COPY is subject to no timeout of PostgreSQL, and keeps its locks for ever.
func (p *Postgres) terminateHolders(ctx context.Context, shardID int64) {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	tag, err := p.pool.Exec(ctx, terminateHolders, shardID, p.config.jobPrefix(), p.name())
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
  and (a.backend_xid = (select s.xmax from ingestion_shards s where s.id = $1)
       or a.application_name <> $3 and a.backend_xid is not null)`
