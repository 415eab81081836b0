package sink

import (
	"log/slog"
	"testing"

	"sluice/coordinator/ledger"
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

// What ends the dead sessions that hold a shard leaves those of another job alone, whatever they are busy with.
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

// The same malformed bytes are a dead letter of each job that meets them.
func TestEachJobKeepsItsDeadLetters(t *testing.T) {
	b := newBench(t)
	other := b.openAs(t, "another")
	span := shard.Window{Start: shard.Past, End: shard.Future}
	job, err := other.CreateJob(t.Context(), ledger.Job{Name: "another", Source: "a source", Span: span}, []shard.Window{span})
	must(t, err)
	all, err := other.Load(t.Context(), job.ID)
	must(t, err)
	theirs, err := other.Begin(t.Context(), all[0].ID)
	must(t, err)
	for p, from := range map[*Postgres]shard.Checkpoint{b.Postgres: b.begin(t, 1), other: theirs} {
		counts, err := p.Commit(t.Context(), batch(from, nil, reject(`{`, "")))
		must(t, err)
		equal(t, "counts", counts, shard.Counts{Received: 1, DeadLetters: 1})
	}
	equal(t, "dead letters", b.count(t, `select count(*) from dead_letters`), 2)
}
