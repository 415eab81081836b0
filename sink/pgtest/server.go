package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sluice/sink/embedpg"
)

// Server is a server of one test's own, to be stopped, crashed and started at will.
type Server struct {
	*embedpg.Server
	tb  testing.TB
	dir string
}

// Options are what a test may want of a server of its own.
type Options struct {
	Sync     bool     // fsync on, as in production
	Settings []string // lines of postgresql.conf, such as "max_connections = 20"
}

// testSettings are for servers whose data are disposable, and whose hundreds of databases are gone before a vacuum would pay off.
var testSettings = []string{
	"autovacuum = off",
	"max_connections = 300",
	"shared_buffers = 128MB",
	"max_wal_size = 1GB",
}

// NewServer returns a running server. It is removed after the test; after a failed one its directory stays and is logged.
func NewServer(tb testing.TB, o Options) *Server {
	tb.Helper()
	return newServerIn(tb, newHome(tb), o)
}

func newServerIn(tb testing.TB, dir string, o Options) *Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	config := embedpg.Config{NoSync: !o.Sync, Settings: o.Settings, Booted: watch}
	if !o.Sync {
		config.Settings = append(append([]string{}, testSettings...), o.Settings...)
	}
	server, err := embedpg.At(dir, config)
	require(tb, err)
	s := &Server{Server: server, tb: tb, dir: dir}
	tb.Cleanup(s.remove)
	require(tb, s.Start(ctx))
	return s
}

// newHome is not tb.TempDir: as root that is closed to the server's user.
func newHome(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(sharedHome()), "sluice-test-pg-")
	if err == nil && os.Geteuid() == 0 {
		err = os.Chmod(dir, 0o755)
	}
	must(tb, err)
	return dir
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.Crash(ctx); err != nil {
		s.tb.Logf("%v", err)
	}
	if s.tb.Failed() {
		s.tb.Logf("the server of this failed test stays in %s", s.dir)
		return
	}
	if err := os.RemoveAll(s.dir); err != nil {
		s.tb.Logf("remove the test server: %v", err)
	}
}

// Keep stops the server for a moment and copies its data. The returned function crashes the server and starts it with that
// copy, as a failover to a standby that lags behind does.
func (s *Server) Keep(tb testing.TB) (goBack func()) {
	tb.Helper()
	ctx := context.Background()
	kept := s.data() + ".kept"
	swap := func(args ...string) {
		tb.Helper()
		must(tb, s.Crash(ctx))
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			tb.Fatalf("%v: %v: %s", args, err, out)
		}
		must(tb, s.Start(ctx))
	}
	swap("cp", "-a", s.data(), kept)
	return func() {
		tb.Helper()
		swap("sh", "-c", fmt.Sprintf("rm -r '%s' && mv '%s' '%s'", s.data(), kept, s.data()))
	}
}

// Demote restarts the server as a standby without a primary: it answers, and takes no writes until it is promoted with
// pg_promote(). It needs wal_level = replica.
func (s *Server) Demote(tb testing.TB) {
	tb.Helper()
	ctx := context.Background()
	signal := filepath.Join(s.data(), "standby.signal")
	must(tb, s.Stop(ctx))
	must(tb, os.WriteFile(signal, nil, 0o600))
	must(tb, chown(signal, s.data()))
	must(tb, s.Start(ctx))
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("%v", err)
	}
}
