package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sync/errgroup"

	"sluice/fetch/apisim"
)

// trial is a run to be made in a world of its own.
type trial struct {
	binary    string // the program
	data      dataset
	simulator []string // flags of the simulator, which has neither limits nor latency without them
	shards    int
	flags     []string // of the run
}

// usual is the checkout's program without limits.
func (r *rig) usual(data dataset, shards int) trial {
	return trial{binary: r.program, data: data, shards: shards, flags: unlimited}
}

// unlimited are the flags for a source without limits, so that the run does not look for any.
var unlimited = []string{"--list-limit=none", "--stream-limit=none"}

// run makes one trial.
func (r *rig) run(ctx context.Context, t trial) (load, error) {
	loads, err := r.together(ctx, []trial{t})
	if err != nil {
		return load{}, fmt.Errorf("shards=%d: %w", t.shards, err)
	}
	return loads[0], nil
}

// together makes trials at the same time, and checks the rows when all have ended.
func (r *rig) together(ctx context.Context, trials []trial) ([]load, error) {
	worlds, loads := make([]*world, len(trials)), make([]load, len(trials))
	for i, t := range trials {
		w, err := r.newWorld(ctx, t)
		if err != nil {
			return nil, err
		}
		defer w.close(ctx)
		worlds[i] = w
	}
	all, running := errgroup.WithContext(ctx)
	for i, w := range worlds {
		all.Go(func() (err error) {
			loads[i], err = w.load(running)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	for _, w := range worlds {
		if err := w.check(ctx); err != nil {
			return nil, err
		}
	}
	return loads, nil
}

// world is a simulator and an empty database, for a trial.
type world struct {
	*rig
	trial    trial
	sim      *exec.Cmd
	url      string // of the simulator
	database string
}

// newWorld starts a simulator and creates a database.
func (r *rig) newWorld(ctx context.Context, t trial) (*world, error) {
	w := &world{rig: r, trial: t, database: "load_" + strings.ToLower(rand.Text())}
	if err := r.server.EnsureDatabase(ctx, w.database); err != nil {
		return nil, err
	}
	if err := w.simulate(ctx); err != nil {
		w.drop(ctx)
		return nil, fmt.Errorf("start the simulator: %w", err)
	}
	return w, nil
}

// simulate returns when the simulator listens. The flags come last and win.
func (w *world) simulate(ctx context.Context) error {
	args := []string{"simulate", "--profile=unlimited", "--listen=127.0.0.1:0",
		fmt.Sprintf("--events=%d", w.trial.data.events), fmt.Sprintf("--skew=%g", w.trial.data.skew)}
	w.sim = command(ctx, w.program, nil, append(args, w.trial.simulator...)...)
	stderr, err := w.sim.StderrPipe()
	if err != nil {
		return err
	}
	if err := w.sim.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(stderr).ReadString('\n') // sluice: simulating … on http://127.0.0.1:4711
	_, address, found := strings.Cut(strings.TrimSpace(line), "http://")
	if !found {
		return errors.Join(err, w.stopSimulator(), errors.New(line))
	}
	w.url = "http://" + address
	return nil
}

func (w *world) stopSimulator() error {
	if err := w.sim.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return w.sim.Wait()
}

func (w *world) close(ctx context.Context) {
	if err := w.stopSimulator(); err != nil {
		w.log("stop the simulator: %v", err)
	}
	w.drop(ctx)
}

func (w *world) drop(ctx context.Context) {
	if _, err := w.exec(context.WithoutCancel(ctx), maintenance, `drop database if exists `+w.database+` with (force)`); err != nil {
		w.log("drop database %s: %v", w.database, err)
	}
}

// load is one way of the rows into the table, measured.
type load struct {
	rows             int64
	wall             time.Duration // of the whole process
	ingest           time.Duration // from the first attempt of a shard to its last commit
	client, postgres time.Duration // CPU
	others           float64       // CPU that other processes of the machine used, the simulator's included, in cores
	peak             int64         // bytes of the client's resident memory
	commits          int64
	requests         requests
}

// thousands is how many rows were loaded in a second of that time.
func (l load) thousands(in time.Duration) float64 { return float64(l.rows) / in.Seconds() / 1000 }

// micros is CPU a row in µs, which is also CPU seconds per million rows.
func (l load) micros(cpu time.Duration) float64 { return cpu.Seconds() * 1e6 / float64(l.rows) }

// requests are what `sluice run --json` reports.
type requests struct {
	List          int64   `json:"list"`
	Stream        int64   `json:"stream"`
	ListRefused   int64   `json:"list_refused"`
	StreamRefused int64   `json:"stream_refused"`
	ListUsed      float64 `json:"list_quota_used"`
	StreamUsed    float64 `json:"stream_quota_used"`
}

// load runs the program to its end and measures it.
func (w *world) load(ctx context.Context) (load, error) {
	if err := w.settle(ctx); err != nil {
		return load{}, err
	}
	cmd := w.command(ctx)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	watch := w.startWatch()
	if err := cmd.Run(); err != nil {
		return load{}, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	l := load{rows: w.trial.data.truth.Rows, client: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak: peakOf(cmd.ProcessState)}
	watch.stop(&l)

	result := struct{ Requests *requests }{&l.requests}
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
		return load{}, fmt.Errorf("read what `sluice run --json` printed: %w", err)
	}
	var seconds float64
	if err := w.queryRow(ctx, w.database, selectWalk, nil, &seconds, &l.commits); err != nil {
		return load{}, fmt.Errorf("read the ledger: %w", err)
	}
	l.ingest = time.Duration(seconds * float64(time.Second))
	return l, nil
}

// watch is the time, and the CPU that the server and the whole machine had used, when a load began.
type watch struct {
	rig             *rig
	started         time.Time
	server, machine time.Duration
}

func (r *rig) startWatch() watch {
	return watch{r, time.Now(), familyCPU(r.server.PID()), machineCPU()}
}

// stop adds the time, and the CPU that was used meanwhile, to a load whose client's CPU is known.
func (w watch) stop(l *load) {
	l.wall = time.Since(w.started)
	l.postgres = familyCPU(w.rig.server.PID()) - w.server
	l.others = max(0, (machineCPU()-w.machine-l.postgres-l.client).Seconds()/l.wall.Seconds())
}

// familyCPU is what a process, its living children and those that it has reaped have used: with the postmaster's pid, all of
// PostgreSQL. It is 0 where there is no /proc.
func familyCPU(pid int) (sum time.Duration) {
	const tick = time.Second / 100 // USER_HZ is 100 on every Linux
	all, _ := procfs.AllProcs()
	for _, one := range all {
		switch p, err := one.Stat(); {
		case err != nil: // it has ended; its parent counts it now
		case p.PID == pid:
			sum += time.Duration(int(p.UTime+p.STime)+p.CUTime+p.CSTime) * tick
		case p.PPID == pid:
			sum += time.Duration(p.UTime+p.STime) * tick
		}
	}
	return sum
}

// machineCPU is what all processes have used, and what other virtual machines have taken (steal). It is 0 where there is no /proc.
func machineCPU() time.Duration {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	s, _ := fs.Stat()
	c := s.CPUTotal
	return time.Duration((c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ + c.Steal) * float64(time.Second))
}

const selectWalk = `
select extract(epoch from max(updated_at) - min(started_at))::float8, sum(seq)::bigint
from public.ingestion_shards where job_id = (select max(id) from public.ingestion_jobs)`

// check compares the table with what it must hold.
func (w *world) check(ctx context.Context) error {
	var have apisim.Sum
	if err := w.queryRow(ctx, w.database, apisim.TruthSQL, []any{nil, nil}, &have.Rows, &have.Hash); err != nil {
		return fmt.Errorf("check the rows: %w", err)
	}
	if want := w.trial.data.truth; have != want {
		return fmt.Errorf("the table of %s holds %d rows with hash %s, want %d with %s", w.database, have.Rows, have.Hash, want.Rows, want.Hash)
	}
	return nil
}

// command prepares the run of the world's program.
func (w *world) command(ctx context.Context) *exec.Cmd {
	env := []string{"API_BASE_URL=" + w.url, "TARGET_API_KEY=ds_bench", "DATABASE_URL=" + w.server.URL(w.database)}
	return command(ctx, w.trial.binary, env, append([]string{"run", fmt.Sprintf("--shards=%d", w.trial.shards), "--json"}, w.trial.flags...)...)
}

// command prepares a call of a program. It gets only the environment that is given, so that no setting of the caller's slips in.
func command(ctx context.Context, program string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	return cmd
}

// peakOf is the most memory that a process had resident, in bytes. It begins with that of the process that started it, so the
// bench itself must stay small: it holds no rows.
func peakOf(state *os.ProcessState) int64 {
	counted, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" { // counts in bytes; Linux and the BSDs in KiB
		return int64(counted.Maxrss)
	}
	return int64(counted.Maxrss) * 1024
}
