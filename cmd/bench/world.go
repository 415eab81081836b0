package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"time"
)

// world is a simulator and a database, for one or more calls of the program.
type world struct {
	*stand
	data     dataset
	sim      *simulator
	database string
}

// newWorld brings up a simulator, without limits and latency unless its flags say otherwise, and an empty database.
func (s *stand) newWorld(ctx context.Context, data dataset, flags ...string) (*world, error) {
	w := &world{stand: s, data: data}
	var err error
	if w.database, err = s.makeDatabase(ctx); err != nil {
		return nil, err
	}
	if w.sim, err = s.simulate(ctx, data, flags...); err != nil {
		s.drop(context.WithoutCancel(ctx), w.database)
		return nil, err
	}
	return w, nil
}

func (w *world) close(ctx context.Context) {
	if err := w.sim.stop(); err != nil {
		w.say("%v", err)
	}
	w.drop(context.WithoutCancel(ctx), w.database)
}

// environ is what a process needs to find the world.
func (w *world) environ() []string {
	return []string{"API_BASE_URL=" + w.sim.url, "TARGET_API_KEY=ds_bench", "DATABASE_URL=" + w.server.URL(w.database)}
}

// run prepares a call of the program.
func (w *world) run(ctx context.Context, shards int, flags ...string) *exec.Cmd {
	return command(ctx, w.program, w.environ(), append([]string{"run", fmt.Sprintf("--shards=%d", shards), "--json"}, flags...)...)
}

// unlimited are the flags for a source without limits: none shall be looked for.
var unlimited = []string{"--list-limit=none", "--stream-limit=none"}

// ingest runs the program to its end and measures it.
func (w *world) ingest(ctx context.Context, shards int, flags ...string) (load, error) {
	if err := w.settle(ctx); err != nil {
		return load{}, err
	}
	var said bytes.Buffer
	cmd := w.run(ctx, shards, flags...)
	cmd.Stdout = &said
	l, err := w.measure(cmd)
	if err != nil {
		return load{}, err
	}
	if l.asked, err = readRequests(said.Bytes()); err != nil {
		return load{}, err
	}
	return l, w.readLedger(ctx, &l)
}

// measure runs a process that loads the world's data.
func (w *world) measure(cmd *exec.Cmd) (load, error) {
	watch := w.watch(w.sim)
	used, err := measured(cmd)
	l := load{rows: w.data.truth.Rows, wall: used.wall, client: used.cpu, peak: used.peak}
	watch.read(&l)
	return l, err
}

// requests are what a run says it has asked of the API.
type requests struct {
	List          int64   `json:"list"`
	Stream        int64   `json:"stream"`
	ListRefused   int64   `json:"list_refused"`
	StreamRefused int64   `json:"stream_refused"`
	ListUsed      float64 `json:"list_quota_used"`
	StreamUsed    float64 `json:"stream_quota_used"`
}

func readRequests(result []byte) (requests, error) {
	var r struct {
		Requests requests `json:"requests"`
	}
	if err := json.Unmarshal(result, &r); err != nil {
		return requests{}, fmt.Errorf("read what `sluice run --json` said: %w", err)
	}
	return r.Requests, nil
}

const selectWalk = `
select extract(epoch from max(updated_at) - min(started_at))::float8, sum(seq)::bigint
from public.ingestion_shards where job_id = (select max(id) from public.ingestion_jobs)`

// readLedger adds what the rows of the last job's shards say.
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

// only runs the program once, without limits, checks the rows, and ends the world. keep may look at the database before.
func (w *world) only(ctx context.Context, shards int, keep func(ctx context.Context, database string) error) (load, error) {
	defer w.close(ctx)
	l, err := w.ingest(ctx, shards, unlimited...)
	if err == nil {
		err = w.check(ctx)
	}
	if err == nil && keep != nil {
		err = keep(ctx, w.database)
	}
	if err != nil {
		return load{}, fmt.Errorf("shards=%d: %w", shards, err)
	}
	return l, nil
}

// ingest runs the program once, in a world of its own.
func (s *stand) ingest(ctx context.Context, data dataset, shards int, keep func(context.Context, string) error) (load, error) {
	w, err := s.newWorld(ctx, data)
	if err != nil {
		return load{}, err
	}
	return w.only(ctx, shards, keep)
}
