package embedpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// connectTimeout bounds one look at a server on this machine.
const connectTimeout = 5 * time.Second

// Stop ends the server in good order: sessions are cut, a last checkpoint is written. Stopping one that does not run is no
// error.
func (s *Server) Stop(ctx context.Context) error { return s.end(ctx, syscall.SIGINT) }

// Crash ends the server at once, without a checkpoint, as a power cut would: the next start recovers from the log. It is
// for tests.
func (s *Server) Crash(ctx context.Context) error { return s.end(ctx, syscall.SIGQUIT) }

// Wipe removes the cluster of a server that is not running, so that the next start makes a new one. It is for tests.
func (s *Server) Wipe(ctx context.Context) error {
	held, err := s.home.take(ctx, s.home.lock())
	if err != nil {
		return err
	}
	defer held.Close()
	if locked(s.home.alive()) {
		return nil // another process has started it meanwhile
	}
	return os.RemoveAll(s.home.data())
}

// end signals the postmaster and waits for the last of its processes.
func (s *Server) end(ctx context.Context, how syscall.Signal) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTimeout, fmt.Errorf("it took longer than %v", stopTimeout))
	defer cancel()
	held, err := s.home.take(ctx, s.home.lock())
	if err != nil {
		return err
	}
	defer held.Close()
	pid := s.PID()
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, how); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop PostgreSQL (pid %d): %w", pid, err)
	}
	err = until(ctx, func() (bool, error) {
		reap(pid)
		return !s.lives() && !runs(pid), nil
	})
	if err != nil {
		return fmt.Errorf("stop PostgreSQL (pid %d): %w; its log is %s", pid, err, s.home.log())
	}
	return nil
}

// lives reports whether any process of the server does; the pid is that of one which people started with pg_ctl.
func (s *Server) lives() bool { return locked(s.home.alive()) || s.PID() != 0 }

// PID is the postmaster's process, 0 if there is none.
func (s *Server) PID() int {
	if pid := s.pidInFile(); pid != 0 && runs(pid) {
		return pid
	}
	return 0
}

// pidInFile reads postmaster.pid: the pid, and the data directory, which tells ours from that of a checkout we are a copy of.
func (s *Server) pidInFile() int {
	b, err := os.ReadFile(filepath.Join(s.home.data(), "postmaster.pid"))
	if err != nil {
		return 0
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 2 || !sameFile(lines[1], s.home.data()) {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 1 {
		return 0
	}
	return pid
}

// clearStalePid removes what a killed postmaster left, when its pid is now that of a zombie or of some other program:
// PostgreSQL sees only that the pid is in use, and refuses to start. A live postmaster's is left for PostgreSQL to judge.
func (s *Server) clearStalePid() {
	pid := s.pidInFile()
	if pid != 0 {
		reap(pid)
	}
	if pid == 0 || !runs(pid) {
		_ = os.Remove(filepath.Join(s.home.data(), "postmaster.pid"))
	}
}

// reap takes the exit status of a postmaster that this very process has started. Nothing else waits for it.
func reap(pid int) { _, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) }

// runs reports whether the pid is that of a live postgres. Without /proc any process will do.
func runs(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // 4711 (postgres) S …
	if err != nil {
		return true
	}
	_, rest, _ := bytes.Cut(stat, []byte("("))
	name, state, _ := bytes.Cut(rest, []byte(") "))
	return string(name) == "postgres" && !bytes.HasPrefix(state, []byte("Z"))
}

func sameFile(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}
