package sink

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

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
