package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/fetch"
	"sluice/fetch/datasync"
	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/sink"
)

// allocated is what the client's heap was asked for.
type allocated struct {
	Rows    int64  `json:"rows"`
	Mallocs uint64 `json:"mallocs"`
	Bytes   uint64 `json:"bytes"`
}

// allocationGoal is how often the heap may be asked for a row, from the request to the commit.
const allocationGoal = 2

// countAllocations loads everything once with the program's rooms, wired in a child of the bench: the program itself does not
// tell what it allocates. The rows are those of the whole, the speed is not measured.
func (s *stand) countAllocations(ctx context.Context) (a allocated, err error) {
	w, err := s.newWorld(ctx, s.data)
	if err != nil {
		return a, err
	}
	defer w.close(ctx)
	var said bytes.Buffer
	cmd, err := w.child(ctx, "allocations")
	if err != nil {
		return a, err
	}
	cmd.Stdout = &said
	if _, err := measured(cmd); err != nil {
		return a, err
	}
	if err := json.Unmarshal(said.Bytes(), &a); err != nil {
		return a, fmt.Errorf("read what was allocated: %w", err)
	}
	a.Rows = s.data.truth.Rows
	return a, w.check(ctx)
}

func allocationFigures(a allocated) []Figure {
	rows := float64(max(a.Rows, 1))
	return []Figure{
		Sample{float64(a.Mallocs) / rows}.figure("allocations, request to commit", "/row").atMost(allocationGoal),
		Sample{float64(a.Bytes) / rows}.figure("allocated, request to commit", "B/row"),
	}
}

// allocations is the child: it wires fetch, coordinator and sink as the program does, and counts what they allocate.
func allocations(ctx context.Context, p place, stdout io.Writer) error {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	client, err := newClient(p, quiet)
	if err != nil {
		return err
	}
	defer client.Close()
	db, err := sink.Open(ctx, sink.Config{URL: p.database, Log: quiet})
	if err != nil {
		return err
	}
	defer db.Close()
	run, err := prepare(ctx, p, client, db, quiet)
	if err != nil {
		return err
	}
	counted, err := count(p.profile, func() error { return finish(run.Run(ctx)) })
	if err != nil {
		return err
	}
	return writeJSON(stdout, counted)
}

func newClient(p place, log *slog.Logger) (*datasync.Client, error) {
	none := quota.Limit{N: quota.Unlimited}
	pacer, err := quota.NewPacer(quota.Config{Quotas: datasync.Quotas(none, none), MaxWait: time.Minute, Log: log})
	if err != nil {
		return nil, err
	}
	return datasync.New(datasync.Config{BaseURL: p.api, Key: "ds_bench", Fetch: fetch.Config{Fetchers: min(p.shards, 16), Pacer: pacer, Log: log}})
}

// prepare makes the tables and the plan.
func prepare(ctx context.Context, p place, client *datasync.Client, db *sink.Postgres, log *slog.Logger) (*coordinator.Coordinator, error) {
	if err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	found, err := client.Survey(ctx, shard.Past)
	if err != nil {
		return nil, err
	}
	everything := shard.Window{Start: shard.Past, End: shard.Future}
	windows := coordinator.Plan(everything, found.Oldest, found.Newest, p.shards)
	job, err := db.CreateJob(ctx, ledger.Job{Name: "default", Source: p.api, Span: everything}, windows)
	if err != nil {
		return nil, err
	}
	store := db.Shards(job.ID, 0)
	checkpoints, err := store.Load(ctx)
	if err != nil {
		return nil, err
	}
	config := coordinator.Config{Log: log, Limits: shard.Limits{QueuePages: 2, BatchRows: 20_000}}
	return coordinator.New(config, client, store, checkpoints)
}

// finish makes an error of everything that is left.
func finish(o coordinator.Outcome, err error) error {
	if err == nil && (o.Cause != nil || o.Left > 0 || len(o.Failures) > 0) {
		err = fmt.Errorf("the shards did not end well: %+v", o)
	}
	return err
}

// count returns what the heap was asked for meanwhile, and writes a CPU profile if it is given a file's name.
func count(profile string, do func() error) (allocated, error) {
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return allocated{}, err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return allocated{}, err
		}
		defer pprof.StopCPUProfile()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := do()
	runtime.ReadMemStats(&after)
	return allocated{Mallocs: after.Mallocs - before.Mallocs, Bytes: after.TotalAlloc - before.TotalAlloc}, err
}
