package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"sluice/fetch/apisim"
)

// world is a simulator and an empty database, for a run of a program.
type world struct {
	*rig
	binary   string // the program that runs in it
	data     dataset
	sim      *exec.Cmd
	url      string // of the simulator
	database string
}

// newWorld starts a simulator, without limits and latency unless its flags say otherwise, and creates a database.
func (r *rig) newWorld(ctx context.Context, binary string, data dataset, flags ...string) (*world, error) {
	w := &world{rig: r, binary: binary, data: data}
	var err error
	if w.database, err = r.createDatabase(ctx); err != nil {
		return nil, err
	}
	if err := w.simulate(ctx, flags...); err != nil {
		r.dropDatabase(context.WithoutCancel(ctx), w.database)
		return nil, fmt.Errorf("start the simulator: %w", err)
	}
	return w, nil
}

// simulate returns when the simulator listens. The flags come last and win.
func (w *world) simulate(ctx context.Context, flags ...string) error {
	args := []string{"simulate", "--profile=unlimited", "--listen=127.0.0.1:0",
		fmt.Sprintf("--events=%d", w.data.events), fmt.Sprintf("--skew=%g", w.data.skew)}
	w.sim = command(ctx, w.program, nil, append(args, flags...)...)
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
	w.dropDatabase(context.WithoutCancel(ctx), w.database)
}

// unlimited are the flags for a source without limits, so that the run does not look for any.
var unlimited = []string{"--list-limit=none", "--stream-limit=none"}

// load is one way of the rows into the table, measured.
type load struct {
	rows                        int64
	wall                        time.Duration // of the whole process
	ingest                      time.Duration // from the first attempt of a shard to its last commit
	client, simulator, postgres time.Duration // CPU
	others                      float64       // CPU that other processes of the machine used, in cores
	peak                        int64         // bytes of the client's resident memory
	commits                     int64
	requests                    requests
}

func (l load) thousands() float64   { return float64(l.rows) / l.wall.Seconds() / 1000 }
func (l load) ingested() float64    { return float64(l.rows) / l.ingest.Seconds() / 1000 }
func (l load) mebibytes() float64   { return float64(l.peak) / (1 << 20) }
func (l load) rowsACommit() float64 { return float64(l.rows) / float64(max(l.commits, 1)) }

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

// run runs the program to its end and measures it.
func (w *world) run(ctx context.Context, shards int, flags ...string) (load, error) {
	if err := w.settle(ctx); err != nil {
		return load{}, err
	}
	cmd := w.command(ctx, shards, flags...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	watch := w.startWatch(w.sim.Process.Pid)
	if err := cmd.Run(); err != nil {
		return load{}, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	l := load{rows: w.data.truth.Rows, client: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak: peakOf(cmd.ProcessState)}
	watch.stop(&l)

	var result struct {
		Requests requests `json:"requests"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
		return load{}, fmt.Errorf("read what `sluice run --json` printed: %w", err)
	}
	l.requests = result.Requests
	return l, w.readLedger(ctx, &l)
}

// command prepares a run of the world's program.
func (w *world) command(ctx context.Context, shards int, flags ...string) *exec.Cmd {
	env := []string{"API_BASE_URL=" + w.url, "TARGET_API_KEY=ds_bench", "DATABASE_URL=" + w.server.URL(w.database)}
	return command(ctx, w.binary, env, append([]string{"run", fmt.Sprintf("--shards=%d", shards), "--json"}, flags...)...)
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

const selectWalk = `
select extract(epoch from max(updated_at) - min(started_at))::float8, sum(seq)::bigint
from public.ingestion_shards where job_id = (select max(id) from public.ingestion_jobs)`

// readLedger adds what the rows of the job's shards say.
func (w *world) readLedger(ctx context.Context, l *load) error {
	conn, err := w.connect(ctx, w.database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var seconds float64
	if err := conn.QueryRow(ctx, selectWalk).Scan(&seconds, &l.commits); err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	l.ingest = time.Duration(seconds * float64(time.Second))
	return nil
}

// check compares the table with what it must hold.
func (w *world) check(ctx context.Context) error {
	conn, err := w.connect(ctx, w.database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var have apisim.Sum
	if err := conn.QueryRow(ctx, apisim.TruthSQL, nil, nil).Scan(&have.Rows, &have.Hash); err != nil {
		return fmt.Errorf("check the rows: %w", err)
	}
	if want := w.data.truth; have != want {
		return fmt.Errorf("the table of %s holds %d rows with hash %s, want %d with %s", w.database, have.Rows, have.Hash, want.Rows, want.Hash)
	}
	return nil
}

// load runs a program once in a world of its own, without limits, and checks the rows.
func (r *rig) load(ctx context.Context, binary string, data dataset, shards int) (load, error) {
	w, err := r.newWorld(ctx, binary, data)
	if err != nil {
		return load{}, err
	}
	defer w.close(ctx)
	l, err := w.run(ctx, shards, unlimited...)
	if err == nil {
		err = w.check(ctx)
	}
	if err != nil {
		return load{}, fmt.Errorf("shards=%d: %w", shards, err)
	}
	return l, nil
}
