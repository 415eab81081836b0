package embedpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// connectTimeout bounds one look at a server on this machine.
const connectTimeout = 5 * time.Second

// boot starts the cluster on its old port, or on another one if that is taken, even between our check and the server's own.
func (s *Server) boot(ctx context.Context, bin programs, run account) error {
	addr, err := s.home.readAddress()
	if err != nil {
		return fmt.Errorf("%w; without them the data cannot be reached: remove %s to start with an empty database", err, s.home)
	}
	for range 3 {
		if addr.port, err = choosePort(addr.port); err != nil {
			return err
		}
		if err = errors.Join(s.writeConf(addr.port), s.home.writeAddress(addr)); err != nil {
			return err
		}
		s.addr.Store(&addr)
		if err = s.launch(ctx, bin, run); err == nil || portFree(addr.port) {
			return err
		}
	}
	return err
}

// launch starts the postmaster in a session of its own and waits until it answers.
func (s *Server) launch(ctx context.Context, bin programs, run account) error {
	alive, err := s.home.take(ctx, s.home.alive()) // free once the orphans of a killed postmaster are gone
	if err != nil {
		return err
	}
	defer alive.Close()
	s.clearStalePid()
	log, err := s.freshLog()
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := run.command(exec.Command(bin.path("postgres"), "-D", s.home.data()), s.home.data())
	cmd.SysProcAttr.Setsid = true
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{alive} // inherited by all its processes: see doc.go
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	alive.Close() // from here on only the server holds it
	return errors.Join(cmd.Process.Release(), s.await(ctx))
}

// await waits until the server answers or ends.
func (s *Server) await(ctx context.Context) error {
	var last error
	began, told := time.Now(), false
	err := until(ctx, func() (bool, error) {
		if last = s.ping(ctx); last == nil {
			return true, nil
		}
		if !told && time.Since(began) > 5*time.Second {
			told = true
			s.config.Say(fmt.Sprintf("PostgreSQL does not answer yet: %v", last))
		}
		if !locked(s.home.alive()) {
			return true, errors.New("it ended at once")
		}
		return false, nil
	})
	if err != nil {
		text, _ := os.ReadFile(s.home.log())
		return fmt.Errorf("start PostgreSQL in %s: %w (%w); the end of its log:\n%s", s.home, err, last, lastLines(string(text), 6))
	}
	return nil
}

// freshLog keeps the log of one start before, so that logs don't grow for ever.
func (s *Server) freshLog() (*os.File, error) {
	_ = os.Rename(s.home.log(), s.home.log()+".1")
	f, err := os.OpenFile(s.home.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the server's log: %w", err)
	}
	return f, s.home.give(s.home.log())
}

const selectDataDirectory = `select current_setting('data_directory')`

// ping makes sure that the server at our address is ours: after a crash another one may have taken the port, and a copied
// checkout has the address of its original.
func (s *Server) ping(ctx context.Context) error {
	conn, err := s.connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var dir string
	if err := conn.QueryRow(ctx, selectDataDirectory).Scan(&dir); err != nil {
		return err
	}
	if !sameFile(dir, s.home.data()) {
		return fmt.Errorf("the server at port %d is another one", s.addr.Load().port)
	}
	return nil
}

func (s *Server) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(s.URL(database))
	if err != nil {
		return nil, err
	}
	cfg.ConnectTimeout = connectTimeout
	return pgx.ConnectConfig(ctx, cfg)
}

// Stop shuts the server down: sessions are cut, a last checkpoint is written. It is no error if the server is not running.
func (s *Server) Stop(ctx context.Context) error { return s.end(ctx, syscall.SIGINT) }

// Crash ends the server at once, without a checkpoint, as a power cut would: the next start recovers from the log. It is for
// tests.
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

// lives reports whether any process of the server is alive. The pid finds a server that was started with pg_ctl.
func (s *Server) lives() bool { return locked(s.home.alive()) || s.PID() != 0 }

// PID is the postmaster's process, 0 if there is none.
func (s *Server) PID() int {
	if pid := s.pidInFile(); pid != 0 && runs(pid) {
		return pid
	}
	return 0
}

// pidInFile reads postmaster.pid: the pid, and the data directory, which differs if this checkout is a copy of another.
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

// clearStalePid removes the pid file of a killed postmaster whose pid now belongs to a zombie or another program: PostgreSQL sees
// only that the pid is in use, and refuses to start. A live postmaster's file is left for PostgreSQL to judge.
func (s *Server) clearStalePid() {
	pid := s.pidInFile()
	if pid != 0 {
		reap(pid)
	}
	if pid == 0 || !runs(pid) {
		_ = os.Remove(filepath.Join(s.home.data(), "postmaster.pid"))
	}
}

// reap collects the exit status of a postmaster that this process has started. Nothing else waits for it.
func reap(pid int) { _, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) }

// runs reports whether the pid is that of a live postgres. Without /proc, any live process counts.
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

// poll is the interval at which until checks its condition.
const poll = 50 * time.Millisecond

// take locks a file in the home.
func (h home) take(ctx context.Context, path string) (*os.File, error) {
	f, err := take(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := h.give(path); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// take acquires a file's exclusive lock, waiting until ctx ends. Closing the file, or the end of the process, releases it.
func take(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	err = until(ctx, func() (bool, error) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// locked reports whether a process holds the file's lock.
func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// until calls done every few milliseconds until it returns true or an error, or ctx ends.
func until(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
