package embedpg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const selectDatabase = `select exists (select from pg_catalog.pg_database where datname = $1)`

// EnsureDatabase creates the database if it is not there.
func (s *Server) EnsureDatabase(ctx context.Context, name string) error {
	conn, err := s.connect(ctx, "postgres")
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer conn.Close(ctx)
	var there bool
	if err := conn.QueryRow(ctx, selectDatabase, name).Scan(&there); err != nil {
		return fmt.Errorf("look for database %s: %w", name, err)
	}
	if there {
		return nil
	}
	return createDatabase(ctx, conn, name)
}

// createDatabase takes a database that somebody else creates at the same moment (42P04, or 23505 from the catalogue's index)
// for its own.
func createDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	_, err := conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize())
	var pe *pgconn.PgError
	if errors.As(err, &pe) && (pe.Code == "42P04" || pe.Code == "23505") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// Status is what people ask about a server.
type Status struct {
	Running bool
	PID     int
	Port    int
	Dir     string // its home
	Log     string
	Version string // of the server's programs, while it runs
}

const showVersion = `show server_version`

// Status looks at the server.
func (s *Server) Status(ctx context.Context) Status {
	st := Status{Dir: string(s.home), Log: s.home.log(), Port: s.addr.Load().port}
	if !s.lives() || s.ping(ctx) != nil {
		return st
	}
	st.Running, st.PID = true, s.PID()
	if conn, err := s.connect(ctx, "postgres"); err == nil {
		defer conn.Close(ctx)
		_ = conn.QueryRow(ctx, showVersion).Scan(&st.Version)
	}
	return st
}
