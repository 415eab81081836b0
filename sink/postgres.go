package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/semaphore"

	"sluice/coordinator/ledger"
	"sluice/migrations"
	"sluice/shard"
	"sluice/sink/doctor"
)

// Postgres is a [ledger.Store], and a Sink, in PostgreSQL. It is safe for concurrent use.
type Postgres struct {
	config  Config
	pool    *pgxpool.Pool
	writers *semaphore.Weighted
	queue   waitQueue
	outage  outage
	table   identity
	logins  logins
	landed  landed
	disk    *fullDisk
	log     *slog.Logger
}

var (
	_ shard.Sink   = (*Postgres)(nil)
	_ ledger.Store = (*Postgres)(nil)
)

// Open connects to the database. It changes nothing there; Migrate does.
func Open(ctx context.Context, config Config) (*Postgres, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	if err := config.verify(ctx); err != nil {
		return nil, err
	}
	settings, err := config.pool()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	p := &Postgres{config: config, pool: pool, writers: semaphore.NewWeighted(int64(config.Writers)), log: config.Log}
	p.disk = newFullDisk(diskFullWait)
	p.outage.log = config.Log
	p.landed.log, p.landed.rows = config.Log, map[int64]place{}
	p.logins.patience = loginPatience
	return p, nil
}

// verify makes sure that the server answers, that a pooler before it leaves us our sessions, and that the schema is ours to use.
func (c *Config) verify(ctx context.Context) error {
	pool, err := c.pool()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := c.reach(ctx)
	if err == nil {
		defer conn.Close(context.WithoutCancel(ctx))
		err = migrations.CheckSchema(ctx, conn)
	}
	var schema *migrations.SchemaError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &schema):
		return &ConnectError{Why: schema.Error(), Hint: schema.Hint(), Err: err}
	}
	return connectError(pool.ConnConfig, err)
}

// Examine checks again what would make a run lose or spoil its rows, see [doctor.Vital].
func (p *Postgres) Examine(ctx context.Context) (findings []ledger.Finding, err error) {
	err = p.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		vital, err := doctor.Vital(ctx, conn.Conn())
		for _, f := range vital {
			findings = append(findings, ledger.Finding{Name: f.Name, Unfit: f.Level == doctor.Fail, Detail: f.Detail, Hint: f.Hint})
		}
		return err
	})
	return findings, p.ledgerError(err, "examine the tables")
}

// Usable reports why rows could not be stored now: the database is away, or only its operator can make it fit again.
func (p *Postgres) Usable(ctx context.Context) error {
	var broken *doctor.Finding
	err := p.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) (err error) {
		broken, err = doctor.Broken(ctx, conn.Conn())
		return err
	})
	if broken != nil {
		return fmt.Errorf("%s: %s: %s", broken.Name, broken.Detail, broken.Hint)
	}
	return p.ledgerError(err, "look whether rows can be stored")
}

// connect opens a session outside of the pool.
func (p *Postgres) connect(ctx context.Context) (*pgx.Conn, error) {
	return p.config.connect(ctx, nil)
}

// Close closes all connections. It waits for those in use.
func (p *Postgres) Close() { p.pool.Close() }

// Run returns the id under which this run takes shards.
func (p *Postgres) Run() uuid.UUID { return p.config.Run }

// name is the name of our sessions in pg_stat_activity.
func (p *Postgres) name() string { return p.config.applicationName() }

// Migrate brings the tables up to date, see [migrations.Up]. Tables that only an operator can fix are a *ledger.UnfitError.
func (p *Postgres) Migrate(ctx context.Context) error {
	config := p.pool.Config().ConnConfig
	err := p.config.renew(ctx, config)
	if err == nil {
		err = migrations.Up(ctx, config, p.log)
	}
	if errors.As(err, new(*migrations.IncompatibleError)) || errors.As(err, new(*migrations.MissingError)) ||
		errors.As(err, new(*migrations.NewerError)) || errors.As(err, new(*migrations.ForeignError)) {
		return &ledger.UnfitError{Err: err}
	}
	if err != nil {
		return &DatabaseError{err}
	}
	return nil
}

// bounded gives a query of the ledger as much time as an attempt to commit. On a connection that silently died it would wait until
// the kernel gives up sending, a quarter of an hour. Queries that read the whole table have no bound.
func (p *Postgres) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, p.config.Timeout, errTimeout)
}

// exec runs a statement of the ledger, and returns how many rows it changed.
func (p *Postgres) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	tag, err := p.pool.Exec(ctx, sql, args...)
	return tag.RowsAffected(), err
}

// change runs statements of the ledger in one transaction.
func (p *Postgres) change(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error { return do(ctx, tx) })
}

// one runs a query of the ledger that has one row; pgx.ErrNoRows if it has none.
func one[T any](ctx context.Context, p *Postgres, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	rows, _ := p.pool.Query(ctx, sql, args...)
	return pgx.CollectExactlyOneRow(rows, scan)
}

// list runs a query of the ledger.
func list[T any](ctx context.Context, p *Postgres, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	rows, _ := p.pool.Query(ctx, sql, args...)
	return pgx.CollectRows(rows, scan)
}

// ledgerError wraps an error of the ledger, if there is one; a transient one becomes a *shard.TransientError, see judge.
func (p *Postgres) ledgerError(err error, format string, args ...any) error {
	err = p.judge(err)
	if err == nil {
		return nil
	}
	wrapped := error(&DatabaseError{fmt.Errorf(format+": %w", append(args, err)...)})
	if transient(err) {
		return &shard.TransientError{Err: wrapped}
	}
	return wrapped
}

// judge adds to a fault what it means for a run. If only the operator can end it, it is no outage, and becomes a *ledger.UnfitError;
// a login that is refused again and again becomes a *shard.StopError.
func (p *Postgres) judge(err error) error {
	switch {
	case refusesLogin(err):
		return p.logins.refused(err)
	case err == nil:
		p.logins.accepted()
	case unfit(err) && !errors.As(err, new(*ledger.UnfitError)):
		return &ledger.UnfitError{Err: fmt.Errorf("%w; `sluice doctor` looks at all that a run needs", err)}
	}
	return err
}
