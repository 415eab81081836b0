package sink

import (
	"errors"
	"testing"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/audit"
)

var threeWindows = []shard.Window{
	{Start: shard.Past, End: 1000}, {Start: 1000, End: 2000}, {Start: 2000, End: shard.Future},
}

func TestFailLeavesARowOfAnotherRunAlone(t *testing.T) {
	b := newBench(t)
	c := b.begin(t, 1)
	must(t, b.Fail(t.Context(), c.ID, shard.Pending, "the API is away"))
	equal(t, "state", b.shard(t, 1).State, shard.Pending)
	equal(t, "last error", b.shard(t, 1).LastError, "the API is away")
	other := open(t, b.url)
	hold(t, other)
	_, err := other.Begin(t.Context(), c.ID)
	must(t, err)
	must(t, b.Fail(t.Context(), c.ID, shard.Failed, "poison"))
	equal(t, "state", b.shard(t, 1).State, shard.Running)
	equal(t, "attempts", b.shard(t, 1).Attempts, 2)
}

// reopen opens windows again, as a repair does.
func (b *bench) reopen(t *testing.T, ids ...int64) {
	t.Helper()
	must(t, b.Reopen(t.Context(), b.job.ID, func(a ledger.Audit) ledger.Reopening { return audit.Recount(&a, ids) }))
}

func TestReopenWalksTheWindowOnceMore(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	in := batch(from, events(0, 10))
	in.Proof = shard.ProofConfirmed
	counts, err := b.Commit(t.Context(), in)
	must(t, err)
	b.reopen(t, from.ID)
	c := b.begin(t, 1)
	equal(t, "proof", c.Proof, "")
	equal(t, "place", c.Position(), shard.Position{End: shard.Future})
	equal(t, "counts stay", c.Counts, counts)
	from.Seq++
	if _, err := b.Commit(t.Context(), batch(from, events(10, 10))); !errors.Is(err, shard.ErrStale) {
		t.Errorf("a commit that goes on from before: %v", err)
	}
}

// TestAWindowThatAnEarlierRunFinishedIsReopened: the row is that run's, as done shards are not claimed.
func TestAWindowThatAnEarlierRunFinishedIsReopened(t *testing.T) {
	b := newBench(t)
	in := batch(b.begin(t, 1), events(0, 10))
	in.Proof = shard.ProofConfirmed
	_, err := b.Commit(t.Context(), in)
	must(t, err)
	later := open(t, b.url)
	hold(t, later)
	b.Postgres = later
	b.reopen(t, in.From.ID)
	_, err = later.Begin(t.Context(), in.From.ID)
	must(t, err)
}

// TestRowsThatVanishedAreStoredASecondTime: the ledger must not count them twice.
func TestRowsThatVanishedAreStoredASecondTime(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	in := batch(from, events(0, 10))
	in.Proof = shard.ProofConfirmed
	_, err := b.Commit(t.Context(), in)
	must(t, err)
	_, err = b.pool.Exec(t.Context(), `delete from ingested_events where id in (select id from ingested_events limit 3)`)
	must(t, err)
	b.reopen(t, from.ID)
	again := batch(b.begin(t, 1), events(0, 10))
	_, err = b.Commit(t.Context(), again)
	must(t, err)
	counts := b.shard(t, 1).Counts
	equal(t, "events", counts.Events, 10)
	equal(t, "duplicates", counts.Duplicates, 7)
	equal(t, "received", counts.Received, 17)
}

func TestBeginSaysThatTheRowIsGone(t *testing.T) {
	b := newBench(t)
	c := b.begin(t, 1)
	_, err := b.pool.Exec(t.Context(), `truncate ingestion_shards cascade`)
	must(t, err)
	if _, err := b.Begin(t.Context(), c.ID); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	if _, err := b.Commit(t.Context(), batch(c, events(0, 5))); !errors.Is(err, shard.ErrStale) {
		t.Errorf("got %v, want ErrStale", err)
	}
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 0)
}
