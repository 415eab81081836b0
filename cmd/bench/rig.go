package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"sluice/fetch/apisim"
	"sluice/sink/embedpg"
)

// rig is what every section measures on: the program, a PostgreSQL server, and the data.
type rig struct {
	options
	out     io.Writer // of the figures
	log     func(format string, args ...any)
	root    string // of the checkout
	dir     string // .sluice/bench in it: everything that the bench makes and removes
	lock    *os.File
	program string // the checkout's, freshly built; it is the simulator too
	data    dataset
	server  *embedpg.Server
	files   []string // the rows of the floor
	pass    int      // from 0
}

// newRig builds the program and starts the server. Its directory is always the same, so that the next bench finds and removes
// whatever a killed one has left.
func newRig(ctx context.Context, o options, out io.Writer, log func(string, ...any)) (_ *rig, err error) {
	r := &rig{options: o, out: out, log: log}
	env, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	mod := strings.TrimSpace(string(env))
	if err != nil || filepath.Base(mod) != "go.mod" {
		return nil, fmt.Errorf("find the checkout: %w", errors.Join(err, errors.New("run the bench inside it")))
	}
	r.root = filepath.Dir(mod)
	r.dir = filepath.Join(r.root, ".sluice", "bench")
	if r.data, err = newDataset(o.events, 0); err != nil {
		return nil, err
	}
	if err := r.acquire(); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{r.sweep, r.build, r.serve} {
		if err := step(ctx); err != nil {
			r.close(context.WithoutCancel(ctx))
			return nil, err
		}
	}
	return r, nil
}

// acquire keeps a second bench out: it would sweep this one away.
func (r *rig) acquire() (err error) {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	if r.lock, err = os.Create(filepath.Join(r.dir, "lock")); err != nil {
		return err
	}
	if err := syscall.Flock(int(r.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another bench is running in this checkout: %w", err)
	}
	return nil
}

func (r *rig) serverConfig() embedpg.Config {
	return embedpg.Config{Checkout: r.dir, Say: func(line string) { r.log("%s", line) }}
}

// sweep removes the server of an earlier bench, with its data.
func (r *rig) sweep(ctx context.Context) error {
	server, err := embedpg.Find(r.serverConfig())
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

// build makes the program, so that an old one is never measured by mistake.
func (r *rig) build(ctx context.Context) error {
	r.program = filepath.Join(r.dir, "sluice")
	if out, err := r.tool(ctx, "go", "build", "-o", r.program, "./cmd/sluice").CombinedOutput(); err != nil {
		return fmt.Errorf("build sluice: %w\n%s", err, out)
	}
	return nil
}

// tool prepares a call of a program in the checkout.
func (r *rig) tool(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.root
	return cmd
}

func (r *rig) serve(ctx context.Context) (err error) {
	r.server, err = embedpg.Start(ctx, r.serverConfig())
	return err
}

// close removes the server with its data, and everything else that the bench has made.
func (r *rig) close(ctx context.Context) {
	defer r.lock.Close()
	if err := errors.Join(r.sweep(ctx), os.RemoveAll(r.dir)); err != nil {
		r.log("%v", err)
	}
}

// exec executes a statement in a session of its own, and returns how many rows it touched.
func (r *rig) exec(ctx context.Context, database, sql string) (rows int64, err error) {
	conn, err := pgx.Connect(ctx, r.server.URL(database))
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tag, err := conn.Exec(ctx, sql)
	return tag.RowsAffected(), err
}

// queryRow reads one row in a session of its own.
func (r *rig) queryRow(ctx context.Context, database, sql string, args []any, into ...any) error {
	conn, err := pgx.Connect(ctx, r.server.URL(database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.QueryRow(ctx, sql, args...).Scan(into...)
}

// settle writes out what earlier loads have left, so that it is not written during the next one.
func (r *rig) settle(ctx context.Context) error {
	_, err := r.exec(ctx, maintenance, checkpoint)
	return err
}

const maintenance, checkpoint = "postgres", `checkpoint`

// dataset is what a simulator serves, and what a table must hold when all of it was read.
type dataset struct {
	events int64
	skew   float64 // share of the events inside one hour
	truth  apisim.Sum
}

func newDataset(events int64, skew float64) (dataset, error) {
	config, err := apisim.Profile(apisim.Unlimited)
	if err != nil {
		return dataset{}, err
	}
	config.Events, config.SkewShare = events, skew
	data, err := apisim.NewData(config)
	if err != nil {
		return dataset{}, err
	}
	return dataset{events, skew, data.Truth(apisim.Past, apisim.Future)}, nil
}
