package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

func query[T any](t *testing.T, url, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, _ := conn.Query(t.Context(), sql)
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestOptionsOfATestServer(t *testing.T) {
	t.Parallel()
	s := NewServer(t, Options{Sync: true, Settings: []string{"max_connections = 21"}})
	if sync, n := query[string](t, s.URL("postgres"), "show fsync"), query[string](t, s.URL("postgres"), "show max_connections"); sync != "on" || n != "21" {
		t.Errorf("fsync %s, max_connections %s", sync, n)
	}
}
