package embedpg

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The watch ends a server that nobody uses, and there is only one.
func TestWatchEndsAnUnusedServer(t *testing.T) {
	t.Parallel()
	s := TestServer(t, TestOptions{})
	restart := newServer(s.home, "", Config{settings: s.settings}) // without the watch of a usual test server
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := restart.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := restart.watchFor(t.Context(), grace{idle: 1, kept: 1}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := until(ctx, func() (bool, error) { return !locked(restart.home.alive()), nil }); err != nil {
		t.Fatalf("the server still lives: %v", err)
	}
	if err := restart.Start(t.Context()); err != nil {
		t.Fatalf("start after the end by the watch: %v", err)
	}
}

// What the watch asks before it ends a server: the lock that every user shares.
func TestAUserKeepsTheWatchAway(t *testing.T) {
	t.Parallel()
	s := TestServer(t, TestOptions{})
	idle := func() bool {
		return query[bool](t, s, "postgres", fmt.Sprintf(`select pg_try_advisory_lock(%d)`, usersLock))
	}
	if !idle() {
		t.Error("an unused server is not idle")
	}
	conn, err := s.use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if idle() {
		t.Error("a server in use is idle")
	}
	if !query[bool](t, s, "postgres", fmt.Sprintf(`select exists (select from pg_locks where locktype = 'advisory' and objid = %d)`, watchLock)) {
		t.Error("a server in use has no watch")
	}
}

// outcome is a test as Test sees it.
type outcome struct {
	T
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
		o := &outcome{T: t}
		url := Test(o)
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
			(&outcome{T: t}).drop(t, url)
		}
	}
}

// drop removes what the test above left on purpose.
func (o *outcome) drop(t *testing.T, url string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	s, conn, err := sharedServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leave(o, conn, cfg.Database, s.URL(cfg.Database))
}

func TestMissingPostgresSkipsOrFails(t *testing.T) {
	for required, want := range map[string]string{"": "skipped", "1": "failed"} {
		t.Setenv("REQUIRE_PG", required)
		o := &outcome{T: t}
		func() {
			defer func() { _ = recover() }()
			unless(o, &MissingError{})
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
	t.Setenv("TMPDIR", t.TempDir())
	if os.Geteuid() == 0 {
		return // root's shared server does not follow TMPDIR, and others may use it now
	}
	s, conn, err := sharedServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	t.Cleanup(func() { _ = s.Crash(context.Background()) })
	if err := s.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.home.data()+"/global/pg_control", []byte("spoilt"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, again, err := sharedServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again.Close(t.Context())
}
