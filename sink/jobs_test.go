package sink

import (
	"log/slog"
	"testing"
	"time"

	"sluice/shard"
)

// openAs opens the bench's database on behalf of another job.
func (b *bench) openAs(t *testing.T, job string) *Postgres {
	t.Helper()
	p, err := Open(t.Context(), Config{URL: b.url, Job: job, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

// Two jobs fill one table at the same time: neither keeps the other out.
func TestJobsDoNotKeepEachOtherOut(t *testing.T) {
	b := newBench(t)
	for _, p := range []*Postgres{b.Postgres, b.openAs(t, "another")} {
		lock := &jobLock{p: p}
		must(t, lock.take(t.Context()))
		t.Cleanup(func() { lock.Close(t.Context()) })
	}
}

// Ending the dead sessions that hold a shard does not touch those of another job, whatever they are doing.
func TestAnotherJobsSessionsAreLeftAlone(t *testing.T) {
	b := newBench(t)
	conn, err := b.openAs(t, "another").pool.Acquire(t.Context())
	must(t, err)
	defer conn.Release()
	tx, err := conn.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `select pg_current_xact_id()`) // a transaction that writes
	must(t, err)
	b.terminateHolders(t.Context(), b.shard(t, 1).ID)
	_, err = tx.Exec(t.Context(), `select 1`)
	must(t, err)
	must(t, tx.Rollback(t.Context()))
}

func TestAJobIsReadAsItWasWritten(t *testing.T) {
	b := newBench(t, threeWindows...)
	must(t, b.SetSource(t.Context(), b.job.ID, "moved"))
	must(t, b.SetVerdict(t.Context(), b.job.ID, "all there", true))
	job, found, err := b.Job(t.Context(), "test")
	must(t, err)
	equal(t, "found", found, true)
	equal(t, "span", job.Span, shard.Window{Start: shard.Past, End: shard.Future})
	equal(t, "shards", job.Shards, 3)
	equal(t, "capabilities", string(job.Capabilities), `{}`)
	equal(t, "source", job.Source, "moved")
	equal(t, "verdict", job.Verdict, "all there")
	equal(t, "verified", time.Since(job.VerifiedAt) < time.Hour, true)
	must(t, b.SetVerdict(t.Context(), b.job.ID, "short", false))
	job, _, err = b.Job(t.Context(), "test")
	must(t, err)
	equal(t, "verified", job.VerifiedAt.IsZero(), true)

	all, err := b.Shards(b.job.ID, 0).Load(t.Context())
	must(t, err)
	for i, c := range all {
		equal(t, "shard", c.Shard, i+1)
		equal(t, "window", c.Window, threeWindows[i])
		equal(t, "state", c.State, shard.Pending)
	}
	if _, err := b.CreateJob(t.Context(), *job, threeWindows); err == nil {
		t.Error("a second job of the same name was made")
	}
	if err := b.SetSource(t.Context(), 4711, "x"); err == nil {
		t.Error("set the source of a job that is not there")
	}
}

func TestNoJob(t *testing.T) {
	b := newBench(t)
	_, found, err := b.Job(t.Context(), "other")
	must(t, err)
	equal(t, "found", found, false)
}
