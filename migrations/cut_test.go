package migrations_test

import (
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/migrations"
	"sluice/sink/pgtest"
)

// The line is cut at the first request of a migration, at the second, and so on to the last. Whatever was cut, either nothing
// of ours is there or everything; the next start ends it.
func TestAMigrationCutAtEachStep(t *testing.T) {
	conn := connect(t)
	proxy := pgtest.NewProxy(t, conn.Config().ConnString())
	through, err := pgx.ParseConfig(proxy.URL())
	must(t, err)
	steps := 0
	defer func() { t.Logf("%d cuts", steps) }()
	for step := 1; ; step++ {
		_, err := conn.Exec(t.Context(), `drop schema public cascade; create schema public`)
		must(t, err)
		proxy.CutAfter(step)
		cutErr := migrations.Up(t.Context(), through, slog.New(slog.DiscardHandler))
		if proxy.Cuts() < step {
			must(t, cutErr)
			if step < 10 {
				t.Errorf("a migration has only %d requests", step-1)
			}
			return
		}
		alone(t, conn)
		present := tables(t, conn)
		if present != 0 && present != 1 && present != 6 && present != 7 { // 1: goose's own; 6: those of the first migration
			t.Errorf("cut at request %d: %d of 7 tables are there", step, present)
		}
		must(t, up(t, conn))
		must(t, migrations.CompareTables(t.Context(), conn))
		steps++
	}
}

// alone waits until the server has seen that the line was cut.
func alone(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for others := 1; others > 0; {
		must(t, conn.QueryRow(t.Context(), `
select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`).Scan(&others))
	}
}

func tables(t *testing.T, conn *pgx.Conn) (n int) {
	t.Helper()
	must(t, conn.QueryRow(t.Context(), `select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`).Scan(&n))
	return n
}
