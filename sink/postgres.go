package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/semaphore"

	"sluice/migrations"
	"sluice/shard"
)

// Postgres is a Sink, and the ledger beside it. It is safe for concurrent use.
type Postgres struct {
	config  Config
	pool    *pgxpool.Pool
	writers *semaphore.Weighted
	waiting waiting
	outage  outage
	disk    *fullDisk
	log     *slog.Logger
}

var _ shard.Sink = (*Postgres)(nil)

// ErrPooler: between us and PostgreSQL stands a pooler that gives every transaction another session. Settings, advisory
// locks and temporary tables belong to sessions.
var ErrPooler = errors.New("DATABASE_URL leads to a connection pooler, such as PgBouncer: give the address of PostgreSQL itself")

// Open connects to the database. It changes nothing there; Migrate does.
func Open(ctx context.Context, config Config) (*Postgres, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
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
	if err := p.greet(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return p, nil
}

// greet makes sure that the server answers, and that it is the one our session belongs to.
func (p *Postgres) greet(ctx context.Context) error {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	err := p.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return refusePooler(ctx, conn.Conn()) })
	if hasCode(err, protocolViolation) {
		return fmt.Errorf("%w (%w)", ErrPooler, err) // a pooler that knows our session settings not
	}
	if err != nil {
		at := p.pool.Config().ConnConfig
		return connectError(at.Host, at.Port, err)
	}
	return nil
}

const selectBackend = `select pg_catalog.pg_backend_pid()`

// refusePooler compares the process that the connection was given with the one that answers: a pooler makes up the former.
func refusePooler(ctx context.Context, conn *pgx.Conn) error {
	var pid uint32
	if err := conn.QueryRow(ctx, selectBackend).Scan(&pid); err != nil {
		return err
	}
	if pid != conn.PgConn().PID() {
		return ErrPooler
	}
	return nil
}

// Close gives all connections back. It waits for those that are in use.
func (p *Postgres) Close() { p.pool.Close() }

// Run returns the id under which this run takes shards.
func (p *Postgres) Run() uuid.UUID { return p.config.Run }

// name is how our sessions appear in pg_stat_activity.
func (p *Postgres) name() string { return p.config.applicationName() }

// Migrate brings the tables up to date, see [migrations.Up].
func (p *Postgres) Migrate(ctx context.Context) error {
	return migrations.Up(ctx, p.pool.Config().ConnConfig, p.log)
}

func hasCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for _, code := range codes {
		if pg.Code == code {
			return true
		}
	}
	return false
}
