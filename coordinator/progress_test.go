package coordinator_test

import (
	"context"
	"testing"
	"time"

	"sluice/shard"
)

// spent runs a job to its end and returns how each fetcher spent its time, which must add up to the whole run.
func (j *job) spent() []shard.Spent {
	j.Helper()
	began := time.Now()
	o := j.run(j.Context())
	j.wantOutcome(o, len(j.store.shards), 0, 0)
	took := time.Since(began)
	for n, s := range o.Fetchers {
		shares := 0.0
		for p := range s {
			shares += s.Share(shard.Phase(p))
		}
		if s.Total() != took || shares < 0.999999 || shares > 1.000001 {
			j.Errorf("fetcher %d: phases of %s, shares of %f; the run took %s", n, s.Total(), shares, took)
		}
	}
	return o.Fetchers
}

func (j *job) wantSpent(s shard.Spent, phase shard.Phase, want time.Duration) {
	j.Helper()
	if got := s[phase]; got != want {
		j.Errorf("%s in phase %d, want %s", got, phase, want)
	}
}

// slowCommits makes every commit take that long.
func (j *job) slowCommits(latency time.Duration) {
	j.store.OnCommit = func(ctx context.Context, _ shard.Batch) error { return shard.Sleep(ctx, latency) }
}

// While a page is written, the next one is on its way: if commits are faster than pages, fetchers wait only for the last.
func TestAPageIsOnItsWayWhileAnotherIsWritten(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.source.Latency = 3200 * time.Millisecond
		j.slowCommits(3 * time.Second)
		s := j.spent()[0]
		j.wantSpent(s, shard.Fetching, time.Duration(len(j.source.requests))*j.source.Latency)
		j.wantSpent(s, shard.Queueing, 3*time.Second)
		j.wantSpent(s, shard.Idle, 0)
	})
}

// If the database is slower than the API, fetchers wait for the database.
func TestFetchersWaitForASlowDatabase(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.source.Latency = time.Second
		j.config.Limits.BatchRows = 1
		j.slowCommits(time.Minute)
		s := j.spent()[0]
		pages := len(j.source.requests)
		j.wantSpent(s, shard.Fetching, time.Duration(pages)*time.Second)
		j.wantSpent(s, shard.Queueing, time.Duration(pages)*time.Minute-time.Duration(pages-1)*time.Second)
	})
}

// A fetcher is idle while its shard pauses after a fault, and if there is no shard for it.
func TestFetchersWithoutAShardAreIdle(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.config.Fetchers = 2
		n := 0
		j.source.Answer = func(request) error {
			if n++; n == 1 {
				return &shard.TransientError{Err: errWeather, After: 10 * time.Minute}
			}
			return nil
		}
		all := j.spent()
		if idle := all[0][shard.Idle]; idle < 10*time.Minute {
			j.Errorf("idle for %s while the shard paused for 10 minutes", idle)
		}
		if s := all[1]; s[shard.Idle] != s.Total() || s.Share(shard.Idle) != 1 {
			j.Errorf("the second fetcher of one shard did %v", s)
		}
	})
}

// With fewer fetchers than shards, fetchers are idle only at the end.
func TestFetchersOfManyShardsAreNotIdle(t *testing.T) {
	inJob(t, 9, func(j *job) {
		j.config.Fetchers = 3
		for n, s := range j.spent() {
			if share := s.Share(shard.Idle); share > 0.05 {
				j.Errorf("fetcher %d was idle for %.3f of the time", n, share)
			}
		}
	})
}
