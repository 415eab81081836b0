package coordinator_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/coordinator"
	"sluice/shard"
)

// perShard is how many events each window of a job holds.
const perShard = 100

// job is a history, the ledger of a plan over it, and how to run them.
type job struct {
	*testing.T
	source *history
	store  *fakeLedger
	config coordinator.Config
	mu     sync.Mutex // for the faults of a test
}

// newJob plans a job of n shards over a history that extends beyond both ends of the span.
func newJob(t *testing.T, shards int) *job {
	span := shard.Window{Start: perShard * beat, End: shard.Instant(shards+1) * perShard * beat}
	return &job{
		T:      t,
		source: &history{Events: (shards + 2) * perShard, Page: 30, Latency: 100 * time.Millisecond},
		store:  newLedger(coordinator.Plan(span, 0, 0, shards)),
		config: coordinator.Config{Log: slog.New(slog.DiscardHandler)},
	}
}

// inJob runs a test of a job in virtual time.
func inJob(t *testing.T, shards int, test func(j *job)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newJob(t, shards)) })
}

func (j *job) coordinator() *coordinator.Coordinator {
	j.Helper()
	all, err := j.store.Load(j.Context())
	if err != nil {
		j.Fatal(err)
	}
	c, err := coordinator.New(j.config, j.source, j.store, all)
	if err != nil {
		j.Fatal(err)
	}
	return c
}

func (j *job) run(ctx context.Context) coordinator.Outcome {
	j.Helper()
	o, err := j.coordinator().Run(ctx)
	if err != nil {
		j.Fatal(err)
	}
	return o
}

// complete runs the job to its end.
func (j *job) complete() {
	j.Helper()
	j.wantOutcome(j.run(j.Context()), len(j.store.shards), 0, 0)
	j.wantRows(len(j.store.shards) * perShard)
}

func (j *job) wantOutcome(o coordinator.Outcome, done, left, failed int) {
	j.Helper()
	if o.Done != done || o.Left != left || len(o.Failures) != failed {
		j.Errorf("done %d, left %d, failed %v; want %d, %d, %d", o.Done, o.Left, o.Failures, done, left, failed)
	}
}

func (j *job) wantRows(n int) {
	j.Helper()
	if got := j.store.stored(); got != n {
		j.Errorf("%d rows, want %d", got, n)
	}
}

// fails makes every request of one shard fail.
func (j *job) fails(number int, err error) {
	j.source.Answer = func(r request) error {
		if j.shardOf(r) == number {
			return err
		}
		return nil
	}
}

// shardOf returns the number of the shard that made a request.
func (j *job) shardOf(r request) int { return int(r.place.End/(perShard*beat)) - 1 }

var errWeather = errors.New("503")

func transient() error { return &shard.TransientError{Err: errWeather} }
