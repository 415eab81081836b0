package embedpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// checkout is a directory with a space in its name. Its parent is closed to everybody else, as /root is, so as root the
// server's user cannot enter it.
func checkout(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a checkout")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// started starts the checkout's server, and removes it after the test.
func started(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Start(t.Context(), Config{Checkout: dir})
	if s != nil {
		t.Cleanup(func() {
			if err := errors.Join(s.Crash(context.Background()), os.RemoveAll(string(s.home))); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// throwaway is a running server in a directory of its own, removed after the test.
func throwaway(t *testing.T) *Server {
	t.Helper()
	return startedAt(t, newDir(t))
}

func startedAt(t *testing.T, dir string) *Server {
	t.Helper()
	s := newServer(home(dir), "", Config{NoSync: true})
	t.Cleanup(func() {
		if err := errors.Join(s.Crash(context.Background()), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// newDir is not t.TempDir: as root that is closed to the server's user.
func newDir(t *testing.T) string {
	t.Helper()
	base := os.TempDir()
	if os.Geteuid() == 0 {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "sluice-test-pg-")
	if err == nil && os.Geteuid() == 0 {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func query[T any](t *testing.T, s *Server, database, sql string) T {
	t.Helper()
	conn, err := s.connect(t.Context(), database)
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

// One checkout's server through all that happens to it in its life.
func TestServerLife(t *testing.T) {
	t.Parallel()
	dir := checkout(t)
	if _, err := Find(Config{Checkout: dir}); !errors.Is(err, ErrNone) {
		t.Fatalf("Find before the first start: %v", err)
	}
	s := started(t, dir)
	pid := s.PID()
	if err := errors.Join(s.EnsureDatabase(t.Context(), "sluice"), s.EnsureDatabase(t.Context(), "sluice")); err != nil {
		t.Fatal(err)
	}
	table(t, s)

	t.Run("a second start adopts it", func(t *testing.T) {
		again, err := Start(t.Context(), Config{Checkout: dir})
		if err != nil || again.PID() != pid || again.URL("x") != s.URL("x") {
			t.Errorf("pid %d, want %d; error %v", again.PID(), pid, err)
		}
	})
	t.Run("it survives kill -9 of the postmaster, with a session open", func(t *testing.T) {
		conn, err := s.connect(t.Context(), "sluice")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if err := errors.Join(syscall.Kill(pid, syscall.SIGKILL), s.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		if s.PID() == pid || s.PID() == 0 {
			t.Errorf("pid %d after %d", s.PID(), pid)
		}
		kept(t, s)
	})
	t.Run("it survives a crash and a recycled pid", func(t *testing.T) {
		if err := s.Crash(t.Context()); err != nil {
			t.Fatal(err)
		}
		stale := fmt.Sprintf("%d\n%s\n0\n%d\n", os.Getpid(), s.home.data(), s.addr.Load().port)
		if err := os.WriteFile(filepath.Join(s.home.data(), "postmaster.pid"), []byte(stale), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept(t, s)
	})
	t.Run("stopped, it is still found, and takes another port if its own is taken", func(t *testing.T) {
		if err := errors.Join(s.Stop(t.Context()), s.Stop(t.Context())); err != nil {
			t.Fatal(err)
		}
		found, err := Find(Config{Checkout: dir})
		if err != nil || found.Status(t.Context()).Running || found.PID() != 0 {
			t.Fatalf("found %+v, error %v", found.Status(t.Context()), err)
		}
		port := s.addr.Load().port
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := found.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := found.Status(t.Context()); !st.Running || st.Port == port || st.Version == "" {
			t.Errorf("status %+v, the taken port is %d", st, port)
		}
		kept(t, found)
	})
}

// table makes one with a row, kept looks for it.
func table(t *testing.T, s *Server) {
	t.Helper()
	conn, err := s.connect(t.Context(), "sluice")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `create table kept as select 4711 as number`); err != nil {
		t.Fatal(err)
	}
}

func kept(t *testing.T, s *Server) {
	t.Helper()
	if n := query[int32](t, s, "sluice", `select number from kept`); n != 4711 {
		t.Errorf("number %d", n)
	}
}

func TestServerIsPrivateAndDurable(t *testing.T) {
	t.Parallel()
	s := started(t, checkout(t))
	for setting, want := range map[string]string{
		"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "jit": "off",
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "",
	} {
		if got := query[string](t, s, "postgres", "show "+setting); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	a := *s.addr.Load()
	a.password += "x"
	_, err := pgx.Connect(t.Context(), a.url("postgres"))
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != "28P01" {
		t.Errorf("with a wrong password: %v", err)
	}
	if st, err := os.Stat(s.home.pgpass()); err != nil || st.Mode() != 0o600 {
		t.Errorf("pgpass: mode %v, error %v", st.Mode(), err)
	}
	if pgid, err := syscall.Getpgid(s.PID()); err != nil || pgid != s.PID() {
		t.Errorf("process group %d of %d: Ctrl-C would reach it; error %v", pgid, s.PID(), err)
	}
}

func TestStartsAtOnce(t *testing.T) {
	t.Parallel()
	dir := checkout(t)
	var starts sync.WaitGroup
	pids := make([]int, 4)
	for i := range pids {
		starts.Go(func() {
			s, err := Start(t.Context(), Config{Checkout: dir})
			if err != nil {
				t.Error(err)
				return
			}
			pids[i] = s.PID()
		})
	}
	starts.Wait()
	s := started(t, dir)
	for _, pid := range pids {
		if pid != s.PID() {
			t.Errorf("pids %v, want %d each", pids, s.PID())
		}
	}
}

// The program that started the server is killed with its whole process group: the next one adopts the server.
func TestServerOutlivesItsStarter(t *testing.T) {
	t.Parallel()
	dir := checkout(t)
	starter := exec.Command(os.Args[0], "-test.run=^TestStarter$")
	starter.Env = append(os.Environ(), "EMBEDPG_CHECKOUT="+dir)
	starter.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(out, "postmaster %d\n", &pid); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(-starter.Process.Pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = starter.Wait()
	if s := started(t, dir); s.PID() != pid || pid == 0 {
		t.Errorf("postmaster %d, want %d", s.PID(), pid)
	}
}

// TestStarter is the program of TestServerOutlivesItsStarter: it waits to be killed.
func TestStarter(t *testing.T) {
	dir := os.Getenv("EMBEDPG_CHECKOUT")
	if dir == "" {
		return
	}
	s, err := Start(t.Context(), Config{Checkout: dir})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("postmaster %d\n", s.PID())
	<-t.Context().Done()
}

func TestInterruptedInitdb(t *testing.T) {
	t.Parallel()
	dir := checkout(t)
	h, err := homeOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(string(h), "data.new")
	if err := errors.Join(os.MkdirAll(left, 0o755), os.WriteFile(filepath.Join(left, "PG_VERSION"), []byte("15\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if err := os.Chmod(string(h), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	started(t, dir)
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	s := throwaway(t)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.config.Settings = []string{"shared_buffers = 1"}
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("error %v", err)
	}
}

// A copied checkout has the address and the pid file of its original, and must not touch the original's server.
func TestCopiedHome(t *testing.T) {
	t.Parallel()
	original := throwaway(t)
	if err := original.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := newDir(t)
	if out, err := exec.Command("cp", "-a", string(original.home)+"/.", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := original.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	duplicate := newServer(home(dir), "", Config{NoSync: true})
	t.Cleanup(func() {
		if err := errors.Join(duplicate.Crash(context.Background()), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.Command("cp", "-a", original.home.data()+"/postmaster.pid", original.home.pgpass(), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Rename(filepath.Join(dir, "postmaster.pid"), duplicate.home.data()+"/postmaster.pid"); err != nil {
		t.Fatal(err)
	}
	if err := duplicate.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if duplicate.PID() == original.PID() || duplicate.URL("x") == original.URL("x") || original.ping(t.Context()) != nil {
		t.Error("the copy took the original's server")
	}
}
