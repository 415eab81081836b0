package pgtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/sink/embedpg"
)

// What a server may take to start, with a package to install, and what the work after a test may.
const (
	startTimeout = 10 * time.Minute
	stopTimeout  = 2 * time.Minute
)

// Database returns the URL of an empty database for one test, on a server that all test processes of this user share. It is
// dropped after the test; that of a failed test stays for a while, and its URL is logged.
//
// The server runs without fsync. If PostgreSQL is missing and cannot be installed, the test is skipped, or fails if the
// environment has REQUIRE_PG.
func Database(tb testing.TB) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	url, drop, err := Open(ctx, tb.Name())
	require(tb, err)
	tb.Cleanup(func() {
		if !tb.Failed() {
			drop()
			return
		}
		tb.Logf("the database of this failed test stays for 15 minutes: psql '%s'", url)
	})
	return url
}

// Open is [Database] outside of a test, for an example: the returned function drops the database.
func Open(ctx context.Context, name string) (url string, drop func(), err error) {
	s, conn, err := sharedServer(ctx, sharedHome())
	if err != nil {
		return "", nil, err
	}
	name = databaseName(name)
	if err := createDatabase(ctx, conn, name); err != nil {
		conn.Close(ctx)
		return "", nil, fmt.Errorf("create database %s: %w", name, err)
	}
	return s.URL(name), func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		defer conn.Close(ctx)                // the session that keeps the server running
		_, _ = conn.Exec(ctx, dropSQL(name)) // otherwise the next start of the server drops it
	}, nil
}

// Main runs the tests of a package whose examples need [Open]. Unlike a test, an example cannot skip itself: if PostgreSQL is
// missing, and the environment does not have REQUIRE_PG, all examples are skipped.
func Main(m *testing.M) int {
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	_, conn, err := sharedServer(ctx, sharedHome())
	if err == nil {
		defer conn.Close(ctx)
	}
	if errors.As(err, new(*embedpg.MissingError)) && os.Getenv("REQUIRE_PG") == "" {
		_ = flag.Set("test.skip", "^Example") // the flag exists in every test binary
	}
	return m.Run()
}

// createDatabase copies the files of the template, as was the only way before version 15: without fsync that takes a fifth of
// the time of writing all pages into the log.
func createDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	sql := "create database " + pgx.Identifier{name}.Sanitize()
	var major int
	if _, err := fmt.Sscan(conn.PgConn().ParameterStatus("server_version"), &major); major >= 15 || err != nil {
		sql += " strategy file_copy"
	}
	_, err := conn.Exec(ctx, sql)
	return err
}

func dropSQL(name string) string {
	return fmt.Sprintf(`drop database if exists %s with (force)`, pgx.Identifier{name}.Sanitize())
}

// testPrefix begins the name of every test's database. One that is there while no test runs is that of a failed test.
const testPrefix = "test_"

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

// sharedHome is one directory for each user. Root's must be open to the server's user, which $TMPDIR need not be.
func sharedHome() string {
	base := os.TempDir()
	if os.Geteuid() == 0 {
		base = "/tmp"
	}
	return filepath.Join(base, fmt.Sprintf("sluice-test-pg-%d", os.Geteuid()))
}

// sharedServer returns the server in a directory, running, and a session that keeps it running. It may end between its start and
// our session, when its last user has just left; then it is started again.
func sharedServer(ctx context.Context, dir string) (*embedpg.Server, *pgx.Conn, error) {
	s, err := embedpg.At(dir, embedpg.Config{NoSync: true, Settings: testSettings, Booted: dropKept})
	if err != nil {
		return nil, nil, err
	}
	for range 5 {
		if err = s.Start(ctx); err != nil {
			if errors.As(err, new(*embedpg.MissingError)) {
				return nil, nil, err
			}
			err = errors.Join(err, s.Wipe(ctx)) // without fsync it need not survive a power cut, nor a tidied /tmp
			continue
		}
		conn, useErr := use(ctx, s)
		if useErr == nil {
			return s, conn, nil
		}
		err = useErr
	}
	return nil, nil, err
}

const selectKept = `select datname from pg_catalog.pg_database where starts_with(datname, $1)`

// dropKept drops the databases that failed or killed tests left on the server, when it starts anew.
func dropKept(ctx context.Context, s *embedpg.Server) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, _ := conn.Query(ctx, selectKept, testPrefix)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range names {
		_, dropErr := conn.Exec(ctx, dropSQL(name))
		err = cmp.Or(err, dropErr)
	}
	return err
}

// require ends the test if there is an error: a missing PostgreSQL is a reason to skip on a laptop, not in CI.
func require(tb testing.TB, err error) {
	tb.Helper()
	if errors.As(err, new(*embedpg.MissingError)) && os.Getenv("REQUIRE_PG") == "" {
		tb.Skipf("%v", err)
	}
	must(tb, err)
}

// chown gives a path to the owner of another, which is the account that the server runs as.
func chown(path, like string) error {
	st, err := os.Stat(like)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	owner := st.Sys().(*syscall.Stat_t)
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}
