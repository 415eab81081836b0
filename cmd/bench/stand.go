package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5"

	"sluice/sink/embedpg"
)

// stand is what every section measures on: the program, a server, and the data with their truth.
type stand struct {
	options
	say     func(format string, args ...any)
	root    string // of the checkout
	dir     string // .sluice/bench in it: everything that the bench makes and removes
	lock    *os.File
	program string  // that is measured
	fresh   string  // that was built, and simulates
	data    dataset // of -events
	server  *embedpg.Server
	files   []string // the rows of a load, for the floor

	adminMu sync.Mutex
	admin   *pgx.Conn // a session that makes databases, and drops them
	loads   int       // databases made so far
}

// newStand builds the program and starts the server. Its place is always the same, so that what a killed bench has left is
// found by the next and removed.
func newStand(ctx context.Context, o options, say func(string, ...any)) (_ *stand, err error) {
	s := &stand{options: o, say: say}
	if s.root, err = checkout(ctx); err != nil {
		return nil, err
	}
	s.dir = filepath.Join(s.root, ".sluice", "bench")
	if s.data, err = know(o.events, 0); err != nil {
		return nil, err
	}
	if err := s.own(); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{s.sweep, s.build, s.serve} {
		if err := step(ctx); err != nil {
			s.close(context.WithoutCancel(ctx))
			return nil, err
		}
	}
	return s, nil
}

// checkout is the directory of go.mod.
func checkout(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	mod := strings.TrimSpace(string(out))
	if err == nil && filepath.Base(mod) != "go.mod" {
		err = errors.New("call it inside the checkout")
	}
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	return filepath.Dir(mod), nil
}

// own keeps a second bench out: it would sweep this one away.
func (s *stand) own() (err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	if s.lock, err = os.Create(filepath.Join(s.dir, "lock")); err != nil {
		return err
	}
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another bench is running in this checkout: %w", err)
	}
	return nil
}

func (s *stand) place() embedpg.Config {
	return embedpg.Config{Checkout: s.dir, Say: func(line string) { s.say("%s", line) }}
}

// sweep removes the server of this place, if there is one.
func (s *stand) sweep(ctx context.Context) error {
	server, err := embedpg.Find(s.place())
	if errors.Is(err, embedpg.ErrNone) {
		return nil
	}
	if err == nil {
		err = server.Stop(ctx)
	}
	if err != nil {
		return fmt.Errorf("remove the server of an earlier bench: %w", err)
	}
	return os.RemoveAll(server.Status(ctx).Dir)
}

// build makes the program, so that it is never an old one that is measured. Where another one is given, the simulator is
// still the new one: both programs meet the same API.
func (s *stand) build(ctx context.Context) error {
	s.fresh = filepath.Join(s.dir, "sluice")
	s.program = cmp.Or(s.binary, s.fresh)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", s.fresh, "./cmd/sluice")
	cmd.Dir = s.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build sluice: %w\n%s", err, out)
	}
	return nil
}

func (s *stand) serve(ctx context.Context) (err error) {
	if s.server, err = embedpg.Start(ctx, s.place()); err != nil {
		return err
	}
	s.admin, err = s.connect(ctx, "postgres")
	return err
}

func (s *stand) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.server.URL(database))
}

// path is that of a directory in the checkout; "" stays "".
func (s *stand) path(dir string) string {
	if dir == "" || filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(s.root, dir)
}

// close removes the server with its data, and all else that the bench has made.
func (s *stand) close(ctx context.Context) {
	if s.admin != nil {
		_ = s.admin.Close(ctx)
	}
	if err := s.sweep(ctx); err != nil {
		s.say("%v", err)
		return
	}
	if err := os.RemoveAll(s.dir); err != nil {
		s.say("%v", err)
	}
	_ = s.lock.Close()
}
