package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"sluice/shard/failpoint"
)

//go:embed sql/*.sql
var files embed.FS

// table records which migrations have run. Not goose's own name: the database's owner may use goose, too.
const table = "sluice_migrations"

// lockID is the advisory lock of a migration, "sluice" in ASCII.
const lockID = 0x736c75696365

// NewerError means that a newer Sluice has migrated the database.
type NewerError struct {
	Have, Want int64 // schema version of the database; the newest that this program knows
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("the database has schema version %d, this program knows only up to %d: use a newer sluice", e.Have, e.Want)
}

// Up brings the database that cfg leads to up to date, and checks that an existing ingested_events can hold our rows. It may be
// interrupted and run again at any time. If everything is in place it only reads.
func Up(ctx context.Context, cfg *pgx.ConnConfig, log *slog.Logger) error {
	cfg = unhurried(cfg)
	have, err := check(ctx, cfg)
	if err != nil || have == Newest() {
		return err
	}
	if err := makeSchema(ctx, cfg); err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	provider, err := newProvider(db)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	for _, m := range done {
		log.Info("migrated the database", "version", m.Source.Version, "took", m.Duration)
	}
	_, err = check(ctx, cfg)
	return err
}

// unhurried returns cfg without the statement timeout of ordinary sessions: building an index may take its time.
func unhurried(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	cfg = cfg.Copy()
	if settle := cfg.AfterConnect; settle == nil {
		cfg.RuntimeParams["statement_timeout"] = "0"
	} else { // a pooler takes no settings with the first message
		cfg.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
			if err := settle(ctx, conn); err != nil {
				return err
			}
			_, err := conn.Exec(ctx, "set statement_timeout = 0").ReadAll()
			return err
		}
	}
	cfg.DialFunc = failpoint.Sent(cfg.DialFunc, "create ", "migration.step")
	return cfg
}

// check returns the schema version of the database, after making sure that this program may work with it.
func check(ctx context.Context, cfg *pgx.ConnConfig) (int64, error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	have, err := Version(ctx, conn)
	if err != nil {
		return 0, err
	}
	if have > Newest() {
		return have, &NewerError{Have: have, Want: Newest()}
	}
	if err := CompareNames(ctx, conn); err != nil {
		return have, err
	}
	if have > 0 && have < Newest() {
		return have, nil // a migration may change what does not fit
	}
	return have, errors.Join(CompareTables(ctx, conn), CompareEvents(ctx, conn))
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID), lock.WithLockTimeout(1, 60))
	if err != nil {
		return nil, err
	}
	sub, err := fs.Sub(files, "sql")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, sub, goose.WithSessionLocker(locker),
		goose.WithTableName(table), goose.WithSlog(slog.New(slog.DiscardHandler)), goose.WithDisableGlobalRegistry(true))
}

// Newest returns the version that Up leads to.
func Newest() int64 {
	names, _ := fs.Glob(files, "sql/*.sql") // the pattern is a constant and valid
	var newest int64
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err == nil {
			newest = max(newest, version)
		}
	}
	return newest
}

// Querier is a connection, a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

const selectHistory = `
select t.oid is not null, exists (select from pg_catalog.pg_attribute where attrelid = t.oid and attname = 'version_id' and not attisdropped)
from (select to_regclass('` + table + `') as oid) t`

const selectVersion = `select coalesce(max(version_id), 0) from ` + table

// Version returns the schema version of the database, 0 if it has no table of ours. A table by the name of ours that is another one
// is a *[ForeignError].
func Version(ctx context.Context, db Querier) (version int64, err error) {
	var there, ours bool
	if err := db.QueryRow(ctx, selectHistory).Scan(&there, &ours); err != nil || !there {
		return 0, wrap("look for "+table, err)
	}
	if !ours {
		return 0, compareNames(ctx, db, []string{table})
	}
	err = db.QueryRow(ctx, selectVersion).Scan(&version)
	return version, wrap("read "+table, err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
