package embedpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// TestOptions are what a test may want of a server of its own.
type TestOptions struct {
	Sync     bool     // fsync on, as in production
	Settings []string // lines of postgresql.conf, such as "max_connections = 20"
}

// TestServer returns a running server of the test's own, to be stopped, crashed and started at will. It is removed after the
// test; after a failed one its directory stays and is printed.
func TestServer(tb T, o TestOptions) *Server {
	tb.Helper()
	dir, err := testHome()
	if err != nil {
		tb.Fatalf("make a directory for a test server: %v", err)
	}
	return testServerIn(tb, dir, o)
}

func testServerIn(tb T, dir string, o TestOptions) *Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s := newServer(home(dir), "", Config{settings: settings{noSync: !o.Sync, lines: o.Settings}})
	s.booted = s.watch
	tb.Cleanup(func() { s.remove(tb) })
	unless(tb, s.start(ctx))
	return s
}

// testHome is not tb.TempDir: as root that is closed to the server's user.
func testHome() (string, error) {
	dir, err := os.MkdirTemp(filepath.Dir(string(sharedHome())), "sluice-test-pg-")
	if err == nil && os.Geteuid() == 0 {
		err = os.Chmod(dir, 0o755)
	}
	return dir, err
}

func (s *Server) remove(tb T) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.Crash(ctx); err != nil {
		tb.Logf("%v", err)
	}
	if tb.Failed() {
		tb.Logf("the server of this failed test stays in %s", s.home)
		return
	}
	if err := os.RemoveAll(string(s.home)); err != nil {
		tb.Logf("remove the test server: %v", err)
	}
}

// Keep stops the server for a moment and copies its data. The returned function crashes the server and starts it with that
// copy: what a failover to a standby does that was behind.
func (s *Server) Keep(tb T) (goBack func()) {
	tb.Helper()
	ctx := context.Background()
	kept := s.home.data() + ".kept"
	swap := func(args ...string) {
		tb.Helper()
		err := s.Crash(ctx)
		if err == nil {
			var out []byte
			if out, err = exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
		}
		if err = errors.Join(err, s.Start(ctx)); err != nil {
			tb.Fatalf("%v: %v", args, err)
		}
	}
	swap("cp", "-a", s.home.data(), kept)
	return func() {
		tb.Helper()
		swap("sh", "-c", fmt.Sprintf("rm -r '%s' && mv '%s' '%s'", s.home.data(), kept, s.home.data()))
	}
}

// Demote restarts the server as a standby that follows nobody: it answers, and takes no writes until it is promoted with
// pg_promote(). It needs wal_level = replica.
func (s *Server) Demote(tb T) {
	tb.Helper()
	ctx := context.Background()
	signal := filepath.Join(s.home.data(), "standby.signal")
	err := s.Stop(ctx)
	if err == nil {
		err = os.WriteFile(signal, nil, 0o600)
	}
	if uid, gid, ownErr := owner(s.home.data()); err == nil && ownErr == nil && os.Geteuid() == 0 {
		err = os.Chown(signal, int(uid), int(gid))
	}
	if err = errors.Join(err, s.Start(ctx)); err != nil {
		tb.Fatalf("make the server a standby: %v", err)
	}
}
