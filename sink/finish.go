package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/coordinator/ledger"
	"sluice/sink/doctor"
)

const checkDeferred = `set constraints all immediate`

// finish ends a transaction in one exchange with the server. Deferred constraints are checked first: what COMMIT itself refuses, no
// savepoint could divide.
func (p *Postgres) finish(ctx context.Context, conn *pgx.Conn, look string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer p.watchCommit(ctx, cancel, serverPID(conn))()
	results, err := conn.PgConn().Exec(ctx, strings.Join([]string{checkDeferred, look, "commit"}, "; ")).ReadAll()
	if err != nil && context.Cause(ctx) == errTimeout {
		return fmt.Errorf("%w: %w", errTimeout, context.DeadlineExceeded)
	}
	if err == nil && results[len(results)-1].CommandTag.String() != "COMMIT" {
		err = errors.New("the transaction was rolled back instead of committed")
	}
	return err
}

// identity keeps what ingested_events was when it was last found fit for our rows. An operator may drop its key, swap it for another
// table or alter a column under a run, and no COPY would fail: so each transaction looks once more before its COMMIT, when the COPY's
// lock holds the table still.
type identity struct {
	mu    sync.Mutex
	known string // what selectIdentity returned; "" if it has not been looked at
}

// selectIdentity describes the table in one word: its oid first, then all that a commit relies on. A child is a table whose rows
// the key does not cover.
const selectIdentity = `
(select concat_ws('-', c.oid, c.relkind, c.relpersistence, c.relhasrules, c.relhastriggers, c.relrowsecurity,
  (select count(*) from pg_catalog.pg_inherits where inhparent = c.oid),
  (select count(*) > 0 from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate
   and i.indpred is null and i.indnkeyatts = 1
   and i.indkey[0] = (select attnum from pg_catalog.pg_attribute where attrelid = c.oid and attname = 'id')),
  (select sum(pg_catalog.hashtextextended(concat_ws(' ', attnum, attname, atttypid, atttypmod, attnotnull, atthasdef, attgenerated, attidentity), 0))
   from pg_catalog.pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped))
from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass('ingested_events'))`

// changedMark begins the server's error about a table that is not the known one.
const changedMark = "ingested_events is not as it was: "

// guardTable fails if the table is not the known one. Each session prepares it once: to plan it takes fifty times as long as to run it.
const guardTable = `
select case when t.now is distinct from $1::text then ('` + changedMark + `' || coalesce(t.now, 'it is gone'))::integer end
from (select ` + selectIdentity + ` as now) t`

// guard prepares guardTable in a session, and returns the statement that runs it.
func guard(ctx context.Context, conn *pgx.Conn, known string) (sql string, err error) {
	_, err = conn.Prepare(ctx, "sluice_guard", guardTable) // does nothing from the second time on
	return "execute sluice_guard ('" + known + "')", err
}

// tableChanged reports whether guard failed.
func tableChanged(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == invalidText && strings.Contains(pg.Message, changedMark)
}

// identified returns what the table is, and examines it if that has not been done.
func (p *Postgres) identified(ctx context.Context) (string, error) {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	if p.table.known != "" {
		return p.table.known, nil
	}
	err := p.examineTable(ctx)
	return p.table.known, err
}

// reexamine looks at a table that has changed: if it is the same one and still fit, the next attempt goes on with it.
func (p *Postgres) reexamine(ctx context.Context) error {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return p.examineTable(ctx)
}

// guarded makes a transaction that stores events other than by COPY, and looks at the table before its COMMIT, as a commit does. It is made
// again if the table has changed and is still fit.
func (p *Postgres) guarded(ctx context.Context, do func(pgx.Tx) error) error {
	for {
		known, err := p.identified(ctx)
		if err != nil {
			return err
		}
		err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
			if err := do(tx); err != nil {
				return err
			}
			look, err := guard(ctx, tx.Conn(), known)
			if err != nil {
				return err
			}
			_, err = tx.Conn().PgConn().Exec(ctx, checkDeferred+"; "+look).ReadAll()
			return err
		})
		if !tableChanged(err) {
			return err
		}
		if err := p.reexamine(ctx); err != nil {
			return err
		}
	}
}

// examineTable notes what the table is if it is fit. It may change in the middle of that: then it is examined again.
func (p *Postgres) examineTable(ctx context.Context) error {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	return p.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		for {
			now, err := readIdentity(ctx, conn.Conn())
			if err != nil {
				return err
			}
			vital, err := doctor.Vital(ctx, conn.Conn())
			if err != nil {
				return err
			}
			for _, f := range vital {
				if f.Level == doctor.Fail {
					return &ledger.UnfitError{Changed: true, Err: fmt.Errorf("the database was changed during the run: %s: %s: %s", f.Name, f.Detail, f.Hint)}
				}
			}
			if known, _, _ := strings.Cut(p.table.known, "-"); known != "" && !strings.HasPrefix(now, known+"-") {
				return &ledger.UnfitError{Changed: true, Err: errors.New("another table has taken the place of ingested_events during the run: " +
					"put the first one back, or run the job anew with an empty table")}
			}
			if again, err := readIdentity(ctx, conn.Conn()); err != nil || again == now {
				p.table.known = now
				return err
			}
		}
	})
}

func readIdentity(ctx context.Context, conn *pgx.Conn) (now string, err error) {
	err = conn.QueryRow(ctx, "select coalesce("+selectIdentity+", '')").Scan(&now)
	return now, err
}

// errStandby is the fault of a COMMIT that waits for a synchronous standby.
var errStandby = errors.New("the server's synchronous standby does not confirm commits: bring it back, or take it out of synchronous_standby_names")

// standbyLook is how often a COMMIT under way is looked at.
const standbyLook = 5 * time.Second

// commitWatch bounds a COMMIT by Config.Timeout, but for the time in which it waits for a synchronous standby: to end that wait would
// make the commit asynchronous, and the server would report success.
type commitWatch struct {
	p      *Postgres
	ctx    context.Context
	cancel context.CancelCauseFunc
	pid    uint32 // of the session that commits

	mu     sync.Mutex
	timer  *time.Timer
	waited time.Duration // for anything but a standby
}

// watchCommit watches until stop is called.
func (p *Postgres) watchCommit(ctx context.Context, cancel context.CancelCauseFunc, pid uint32) (stop func()) {
	w := &commitWatch{p: p, ctx: ctx, cancel: cancel, pid: pid}
	w.arm()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer.Stop()
	}
}

func (w *commitWatch) arm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(min(standbyLook, w.p.config.Timeout), w.look)
}

func (w *commitWatch) look() {
	if w.ctx.Err() != nil {
		return
	}
	waits, err := w.waits()
	switch {
	case err == nil && waits:
		w.p.outage.begin(errStandby)
	case w.waited+standbyLook >= w.p.config.Timeout:
		w.cancel(errTimeout)
		return
	default:
		w.waited += standbyLook
	}
	w.arm()
}

func (w *commitWatch) waits() (waits bool, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, standbyLook)
	defer cancel()
	err = w.p.pool.QueryRow(ctx, selectWaits, w.pid).Scan(&waits)
	return waits, err
}

const selectWaits = `select coalesce((select wait_event = 'SyncRep' from pg_catalog.pg_stat_activity where pid = $1), false)`

// onNotice reports a commit whose wait for the standby an operator has ended: it counts as landed.
func (c Config) onNotice(_ *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		c.Log.Warn("a commit was not confirmed by the synchronous standby: a failover to it may lose what was committed", "err", n.Message)
	}
}
