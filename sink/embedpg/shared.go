package embedpg

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// T is what the servers for tests need of a testing.TB. Naming it here keeps package testing out of the program.
type T interface {
	Helper()
	Name() string
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Test returns the URL of an empty database for one test, on a server that all test processes of this user share. It is
// dropped after the test; that of a failed test stays for a while, and its URL is printed.
//
// The server runs without fsync. Where PostgreSQL is missing and cannot be installed, the test is skipped, or fails if the
// environment has REQUIRE_PG.
func Test(tb T) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s, conn, err := sharedServer(ctx)
	unless(tb, err)
	name := databaseName(tb.Name())
	if _, err := conn.Exec(ctx, createEmpty(conn, name)); err != nil {
		tb.Fatalf("create database %s: %v", name, err)
	}
	url := s.URL(name)
	tb.Cleanup(func() { leave(tb, conn, name, url) })
	return url
}

// createEmpty copies the files of the template, as was the only way before version 15: without fsync that takes a fifth of the time
// of writing all pages into the log.
func createEmpty(conn *pgx.Conn, name string) string {
	sql := "create database " + pgx.Identifier{name}.Sanitize()
	if majorOf(conn.PgConn().ParameterStatus("server_version")) >= 15 {
		sql += " strategy file_copy"
	}
	return sql
}

const dropDatabase = `drop database if exists %s with (force)`

// leave drops the database of a test that passed and gives the server back.
func leave(tb T, conn *pgx.Conn, name, url string) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	defer conn.Close(ctx)
	if tb.Failed() {
		tb.Logf("the database of this failed test stays for 15 minutes: psql '%s'", url)
		return
	}
	if _, err := conn.Exec(ctx, fmt.Sprintf(dropDatabase, pgx.Identifier{name}.Sanitize())); err != nil {
		tb.Logf("drop database %s: %v", name, err)
	}
}

// databaseName keeps as much of the test's name as PostgreSQL's 63 bytes allow, and is never the same twice.
func databaseName(test string) string {
	letters := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}
	test = strings.Map(letters, strings.ToLower(test))
	return testPrefix + test[:min(len(test), 40)] + "_" + strings.ToLower(rand.Text()[:8])
}

// sharedServer returns the shared server, running, and a session that keeps it so. It may end between its start and our
// session, when its last user has just left; then it is started again.
func sharedServer(ctx context.Context) (*Server, *pgx.Conn, error) {
	s := newServer(sharedHome(), "", Config{settings: settings{noSync: true}})
	s.booted = s.dropKept
	// Its name can be foreseen and all may write beside it, so not even root may use what somebody else has put there.
	err := s.home.create()
	if err == nil {
		err = s.home.checkOwner()
	}
	if err != nil {
		return nil, nil, err
	}
	for range 5 {
		if err = s.start(ctx); err != nil {
			if errors.As(err, new(*MissingError)) {
				return nil, nil, err
			}
			err = errors.Join(err, s.wipe(ctx)) // without fsync it need not survive a power cut, nor a tidied /tmp
			continue
		}
		conn, useErr := s.use(ctx)
		if useErr == nil {
			return s, conn, nil
		}
		err = useErr
	}
	return nil, nil, err
}

// sharedHome is one directory for each user. Root's must be open to the server's user, which $TMPDIR need not be.
func sharedHome() home {
	base := os.TempDir()
	if os.Geteuid() == 0 {
		base = "/tmp"
	}
	return home(filepath.Join(base, fmt.Sprintf("sluice-test-pg-%d", os.Geteuid())))
}

// wipe removes the cluster, so that the next start makes a new one.
func (s *Server) wipe(ctx context.Context) error {
	held, err := s.home.take(ctx, s.home.lock())
	if err != nil {
		return err
	}
	defer held.Close()
	if locked(s.home.alive()) {
		return nil // somebody else has started it meanwhile
	}
	return os.RemoveAll(s.home.data())
}

const selectKept = `select datname from pg_catalog.pg_database where starts_with(datname, $1)`

// dropKept drops the databases that failed or killed tests left on the server, when it starts anew.
func (s *Server) dropKept(ctx context.Context) error {
	conn, err := s.connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, _ := conn.Query(ctx, selectKept, testPrefix)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range names {
		_, dropErr := conn.Exec(ctx, fmt.Sprintf(dropDatabase, pgx.Identifier{name}.Sanitize()))
		err = cmp.Or(err, dropErr)
	}
	return err
}

// unless ends the test if there is an error: a missing PostgreSQL is a reason to skip on a laptop, not in CI.
func unless(tb T, err error) {
	tb.Helper()
	if errors.As(err, new(*MissingError)) && os.Getenv("REQUIRE_PG") == "" {
		tb.Skipf("%v", err)
	}
	if err != nil {
		tb.Fatalf("%v", err)
	}
}
