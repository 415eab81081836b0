package pgtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/sink/embedpg"
)

func TestEachTestHasAnEmptyDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	first, second := Database(t), Database(t)
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

// outcome is a test as Database sees it.
type outcome struct {
	testing.TB
	failed   bool
	cleanups []func()
	said     strings.Builder
}

func (o *outcome) Failed() bool            { return o.failed }
func (o *outcome) Cleanup(f func())        { o.cleanups = append(o.cleanups, f) }
func (o *outcome) Logf(f string, a ...any) { fmt.Fprintf(&o.said, f+"\n", a...) }
func (o *outcome) Skipf(string, ...any)    { o.said.WriteString("skipped"); panic(o) }
func (o *outcome) Fatalf(string, ...any)   { o.said.WriteString("failed"); panic(o) }
func (o *outcome) end(failed bool) {
	o.failed = failed
	for _, f := range o.cleanups {
		f()
	}
}

func TestDatabaseOfAFailedTestStays(t *testing.T) {
	t.Parallel()
	for _, failed := range []bool{false, true} {
		o := &outcome{TB: t}
		url := Database(o)
		o.end(failed)
		conn, err := pgx.Connect(t.Context(), url)
		if stays := err == nil; stays != failed {
			t.Errorf("failed %v: the database stays: %v", failed, stays)
		}
		if strings.Contains(o.said.String(), url) != failed {
			t.Errorf("failed %v: said %q", failed, o.said.String())
		}
		if conn != nil {
			conn.Close(t.Context())
			dropKeptDatabase(t, url)
		}
	}
}

// dropKeptDatabase removes what the test above left on purpose.
func dropKeptDatabase(t *testing.T, url string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	_, conn, err := sharedServer(t.Context(), sharedHome())
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), dropSQL(cfg.Database))
	must(t, err)
}

func TestMissingPostgresSkipsOrFails(t *testing.T) {
	for required, want := range map[string]string{"": "skipped", "1": "failed"} {
		t.Setenv("REQUIRE_PG", required)
		o := &outcome{TB: t}
		func() {
			defer func() { _ = recover() }()
			require(o, &embedpg.MissingError{})
		}()
		if o.said.String() != want {
			t.Errorf("REQUIRE_PG=%q: %s, want %s", required, o.said.String(), want)
		}
	}
}

func TestDatabaseName(t *testing.T) {
	t.Parallel()
	name := databaseName("TestX/with spaces, \"quotes\" and ünicode and more than sixty-three bytes of it")
	if len(name) > 63 || !strings.HasPrefix(name, "test_testx_with_spaces___quotes_") {
		t.Errorf("name %q of %d bytes", name, len(name))
	}
	if again := databaseName("a"); again == databaseName("a") {
		t.Error("two databases have one name")
	}
}

// A cluster without fsync that a power cut has spoilt is made anew.
func TestSpoiltSharedServerIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := newHome(t)
	s, conn, err := sharedServer(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	t.Cleanup(func() {
		_ = s.Crash(context.Background())
		_ = os.RemoveAll(dir)
	})
	if err := s.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(dir, "data", "global", "pg_control")
	if err := os.WriteFile(control, []byte("spoilt"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, again, err := sharedServer(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close(t.Context())
}
