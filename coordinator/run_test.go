package coordinator_test

import (
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

// Goroutines that raced for the places started them in any order.
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

func TestRunLeavesDoneShardsAlone(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.store.edit(2, func(cp *shard.Checkpoint) { cp.State = shard.Done })
		j.store.edit(3, func(cp *shard.Checkpoint) { cp.State = shard.Failed })
		j.wantOutcome(j.run(j.Context()), 2, 0, 0)
		if tries := j.store.tries(2); len(tries) != 0 {
			j.Errorf("a shard that is done was begun %d times", len(tries))
		}
	})
}

func TestRunSaysThatTheLedgerCannotBeRead(t *testing.T) {
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
	for _, part := range []string{"fetchers -1", "memory 1", "give-up-after -1s", "drain -1m0s", "queue pages -2", "batch rows -3"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not told: %v", part, err)
		}
	}
}

// TestProgressAtTheEndHasEachShardOnce: what is left of the ledger when the shards that are done are taken out of it is no shard.
func TestProgressAtTheEndHasEachShardOnce(t *testing.T) {
	inJob(t, 3, func(j *job) {
		c := j.coordinator()
		if _, err := c.Run(j.Context()); err != nil {
			j.Fatal(err)
		}
		s := c.Progress()
		if len(s.Shards) != 3 || s.Done != 3 {
			j.Errorf("%d shards, %d of them done: %+v", len(s.Shards), s.Done, s.Shards)
		}
	})
}
