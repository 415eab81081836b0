package embedpg_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/sink/embedpg"
)

func TestEachTestHasAnEmptyDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	first, second := embedpg.Test(t), embedpg.Test(t)
	if first == second {
		t.Fatalf("two tests share %s", first)
	}
	for _, url := range []string{first, second} {
		conn := connect(t, url)
		var tables int
		if err := conn.QueryRow(t.Context(), `select count(*) from pg_tables where schemaname = 'public'`).Scan(&tables); err != nil || tables != 0 {
			t.Fatalf("tables %d, error %v", tables, err)
		}
		if _, err := conn.Exec(t.Context(), `create table here (id int)`); err != nil {
			t.Fatal(err)
		}
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}
