package coordinator_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/coordinator"
	"sluice/shard"
)

func TestRunFinishesEveryShard(t *testing.T) {
	inJob(t, 5, func(j *job) { j.complete() })
}

func TestFetchersBoundTheAttemptsAtATime(t *testing.T) {
	for _, c := range []struct{ shards, fetchers, want int }{{10, 3, 3}, {4, 0, 4}, {40, 0, 16}, {3, 8, 3}} {
		inJob(t, c.shards, func(j *job) {
			j.config.Fetchers = c.fetchers
			j.complete()
			if j.source.peak != c.want {
				j.Errorf("%d shards, --fetchers=%d: %d attempts at a time, want %d", c.shards, c.fetchers, j.source.peak, c.want)
			}
		})
	}
}

// Goroutines that raced for the fetchers started the shards in any order.
func TestShardsStartNewestFirst(t *testing.T) {
	inJob(t, 30, func(j *job) {
		j.config.Fetchers = 1
		j.complete()
		var order []int
		for _, b := range j.store.begins {
			order = append(order, b.shard)
		}
		if !slices.IsSortedFunc(order, func(a, b int) int { return b - a }) {
			j.Errorf("the shards were begun in the order %v", order)
		}
	})
}

func TestRunSkipsDoneShards(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.store.edit(2, func(cp *shard.Checkpoint) { cp.State = shard.Done })
		j.store.edit(3, func(cp *shard.Checkpoint) { cp.State = shard.Failed })
		j.wantOutcome(j.run(j.Context()), 2, 0, 0)
		if tries := j.store.tries(2); len(tries) != 0 {
			j.Errorf("a shard that is done was begun %d times", len(tries))
		}
	})
}

func TestRunReportsThatTheLedgerCannotBeRead(t *testing.T) {
	inJob(t, 1, func(j *job) {
		c := j.coordinator()
		wrong := errors.New("no such table")
		j.store.OnLoad = func() error { return wrong }
		if _, err := c.Run(j.Context()); !errors.Is(err, wrong) {
			j.Errorf("error %v, want %v", err, wrong)
		}
	})
}

// A coordinator counts what its one run has done: a second one would mix with the first.
func TestACoordinatorRunsOnce(t *testing.T) {
	inJob(t, 2, func(j *job) {
		c := j.coordinator()
		var refused, finished int
		var mu sync.Mutex
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				_, err := c.Run(j.Context())
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, coordinator.ErrAlreadyRan) {
					refused++
				} else if err == nil {
					finished++
				}
			})
		}
		both.Wait()
		if refused != 1 || finished != 1 {
			j.Errorf("%d runs refused, %d finished; want 1 of each", refused, finished)
		}
		j.wantRows(2 * perShard)
	})
}

func TestNewRefusesWrongSettings(t *testing.T) {
	wrong := coordinator.Config{Fetchers: -1, Memory: 1, GiveUpAfter: -time.Second, Drain: -time.Minute,
		Limits: shard.Limits{QueuePages: -2, BatchRows: -3}}
	_, err := coordinator.New(wrong, nil, nil, nil)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"fetchers -1", "memory 1", "give-up-after -1s", "drain -1m0s", "queue-pages -2", "batch-rows -3"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing: %v", part, err)
		}
	}
}

// At the end every shard is in the progress once.
func TestProgressAtTheEndHasEachShardOnce(t *testing.T) {
	inJob(t, 3, func(j *job) {
		c := j.coordinator()
		if _, err := c.Run(j.Context()); err != nil {
			j.Fatal(err)
		}
		s := c.Progress()
		if len(s.Shards) != 3 || inState(s, shard.Done) != 3 {
			j.Errorf("%d shards, %d of them done: %+v", len(s.Shards), inState(s, shard.Done), s.Shards)
		}
	})
}

var errSignal = errors.New("stopped by signal")

// runUntil runs the job and stops it after d. It returns when the stop came.
func (j *job) runUntil(d time.Duration) (coordinator.Outcome, time.Time) {
	j.Helper()
	ctx, stop := context.WithCancelCause(j.Context())
	defer stop(nil)
	at := time.Now().Add(d)
	time.AfterFunc(d, func() { stop(errSignal) })
	return j.run(ctx), at
}

// wantDrained checks that everything fetched is stored, and that nothing was requested after the stop.
func (j *job) wantDrained(stop time.Time) {
	j.Helper()
	if len(j.source.served) == 0 || j.store.stored() != len(j.source.served) {
		j.Errorf("%d events were fetched, %d are stored", len(j.source.served), j.store.stored())
	}
	for _, r := range j.source.asked() {
		if r.at.After(stop) {
			j.Errorf("shard %d requested page %d %s after the stop", j.shardOf(r), r.number, r.at.Sub(stop))
		}
	}
}

// wantLeft checks that all shards that were begun are pending, and say why.
func (j *job) wantLeft(why error) {
	j.Helper()
	for id, row := range j.store.shards {
		if row.Attempts > 0 && (row.State != shard.Pending || !strings.Contains(row.LastError, why.Error())) {
			j.Errorf("row %d is %s: %q", id, row.State, row.LastError)
		}
	}
}

func TestAStopDrains(t *testing.T) {
	inJob(t, 6, func(j *job) {
		j.config.Fetchers, j.store.Latency = 4, 250*time.Millisecond
		o, at := j.runUntil(350 * time.Millisecond)
		j.wantOutcome(o, 0, 6, 0)
		if !errors.Is(o.Cause, errSignal) {
			j.Errorf("cause %v", o.Cause)
		}
		j.wantDrained(at)
		j.wantLeft(errSignal)
		if took := time.Since(at); took == 0 || took > time.Second {
			j.Errorf("the drain took %s", took)
		}
		j.complete()
	})
}

// A store that hangs delays the end of the run for as long as the drain may take, and no longer.
func TestTheDrainHasAnEnd(t *testing.T) {
	for _, c := range []struct{ drain, want time.Duration }{{0, 8 * time.Second}, {3 * time.Second, 3 * time.Second}} {
		inJob(t, 4, func(j *job) {
			j.config.Drain = c.drain
			var dropped []error
			j.store.OnCommit = func(ctx context.Context, _ shard.Batch) error {
				<-ctx.Done()
				j.mu.Lock()
				defer j.mu.Unlock()
				dropped = append(dropped, context.Cause(ctx))
				return context.Cause(ctx)
			}
			o, at := j.runUntil(time.Second)
			j.wantOutcome(o, 0, 4, 0)
			j.wantRows(0)
			if took := time.Since(at); took != c.want {
				j.Errorf("the drain took %s, want %s", took, c.want)
			}
			for _, err := range dropped {
				if !strings.Contains(err.Error(), "not committed within "+c.want.String()) {
					j.Errorf("a commit was dropped because of: %v", err)
				}
			}
			if len(dropped) != 4 {
				j.Errorf("%d commits were dropped", len(dropped))
			}
		})
	}
}

// Commits that end within the drain are kept, later ones are dropped.
func TestTheRemainingCommitsShareTheDrain(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.store.Latency, j.config.Limits = 3*time.Second, shard.Limits{BatchRows: 1}
		o, at := j.runUntil(500 * time.Millisecond)
		j.wantOutcome(o, 0, 1, 0)
		if took := time.Since(at); took != 8*time.Second {
			j.Errorf("the drain took %s", took)
		}
		if commits := len(j.store.commits); commits != 2 {
			j.Errorf("%d commits, each of 3 s, were made until 8 s after the stop", commits)
		}
	})
}

func TestAStopEndsAPause(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.source.Answer = func(request) error { return &shard.TransientError{Err: errWeather, After: time.Hour} }
		j.config.GiveUpAfter = 24 * time.Hour
		o, at := j.runUntil(10 * time.Minute)
		j.wantOutcome(o, 0, 3, 0)
		j.wantLeft(errSignal)
		if took := time.Since(at); took != 0 {
			j.Errorf("the shards waited %s more", took)
		}
	})
}

// The API has refused the key for one shard: no other makes another request, and everything fetched is committed.
func TestAStopErrorStopsAllFetchers(t *testing.T) {
	inJob(t, 6, func(j *job) {
		j.store.Latency = 250 * time.Millisecond
		var refused time.Time
		refusal := &shard.StopError{Err: errors.New("401"), Hint: "look at the key", Reason: shard.Refused}
		j.source.Answer = func(r request) error {
			if j.shardOf(r) == 3 && r.number == 2 {
				refused = r.at
				return refusal
			}
			return nil
		}
		o := j.run(j.Context())
		j.wantOutcome(o, 0, 6, 0)
		var stop *shard.StopError
		if !errors.As(o.Cause, &stop) || stop.Reason != shard.Refused {
			j.Errorf("cause %v", o.Cause)
		}
		j.wantDrained(refused)
		j.wantLeft(refusal)
		if took := time.Since(refused); took > time.Second {
			j.Errorf("the drain took %s", took)
		}
	})
}

// A stop after the last commit has nothing to stop.
func TestAStopThatComesTooLateIsNoCause(t *testing.T) {
	inJob(t, 2, func(j *job) {
		o, at := j.runUntil(time.Hour)
		j.wantOutcome(o, 2, 0, 0)
		if o.Cause != nil || !time.Now().Before(at) {
			j.Errorf("cause %v", o.Cause)
		}
	})
}

// inState counts the shards in a state.
func inState(s coordinator.Snapshot, state shard.State) (n int) {
	for _, one := range s.Shards {
		if one.State == state {
			n++
		}
	}
	return n
}
