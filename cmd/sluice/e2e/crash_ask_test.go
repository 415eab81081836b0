package e2e

import (
	"context"
	"errors"
	"time"

	"sluice/cmd/sluice/internal/cli"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ask does something on a connection of its own, again while the server recovers from an accident.
func (c *crashWorld) ask(do func(*pgx.Conn) error) {
	c.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := c.askOnce(do)
		if err == nil {
			return
		}
		var refused *pgconn.PgError
		down := !errors.As(err, &refused) || refused.Code[:3] == "57P"
		if !down || time.Now().After(deadline) {
			c.t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (c *crashWorld) askOnce(do func(*pgx.Conn) error) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.env[cli.EnvDatabase])
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(conn)
}

// query returns one row of the database.
func (c *crashWorld) query(sql string, args []any, to ...any) {
	c.t.Helper()
	c.ask(func(conn *pgx.Conn) error { return conn.QueryRow(context.Background(), sql, args...).Scan(to...) })
}

func (c *crashWorld) exec(sql string, args ...any) {
	c.t.Helper()
	c.ask(func(conn *pgx.Conn) error {
		_, err := conn.Exec(context.Background(), sql, args...)
		return err
	})
}
