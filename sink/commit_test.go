package sink

import (
	"context"
	"errors"
	"testing"
	"time"

	"sluice/shard"
)

func TestCommitMovesRowsAndCheckpointTogether(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	in := batch(from, events(0, 1000))
	in.CursorExpires = time.UnixMicro(1_800_000_000_000_000).UTC()
	in.Seen.OutOfWindow, in.Seen.OutOfOrder, in.Seen.Received = 7, 3, 1007

	counts, err := b.Commit(t.Context(), in)
	must(t, err)
	want := shard.Counts{Received: 1007, Events: 1000, OutOfWindow: 7, OutOfOrder: 3}
	equal(t, "counts", counts, want)
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 1000)

	after := b.shard(t, 1)
	equal(t, "counts of the checkpoint", after.Counts, want)
	equal(t, "seq", after.Seq, from.Seq+1)
	equal(t, "cursor", after.Cursor, "next")
	equal(t, "cursor expires", after.CursorExpires.UTC(), in.CursorExpires)
	equal(t, "resume", after.Resume, keyAt(999))
	equal(t, "state", after.State, shard.Running)
}

func TestCommitWithProofMakesTheShardDone(t *testing.T) {
	b := newBench(t)
	in := batch(b.begin(t, 1), nil)
	in.Proof = shard.ProofConfirmed
	_, err := b.Commit(t.Context(), in)
	must(t, err)
	after := b.shard(t, 1)
	equal(t, "state", after.State, shard.Done)
	equal(t, "proof", after.Proof, shard.ProofConfirmed)
	if _, err := b.Begin(t.Context(), after.ID); !errors.Is(err, shard.ErrStale) {
		t.Errorf("begin a shard that is done: %v", err)
	}
}

func TestCommitIsStale(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	behind, gone := from, from
	behind.Seq--
	gone.ID = 4711
	for name, from := range map[string]shard.Checkpoint{"another seq": behind, "no such row": gone} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Commit(t.Context(), batch(from, events(0, 10)))
			if !errors.Is(err, shard.ErrStale) {
				t.Fatalf("got %v, want ErrStale", err)
			}
		})
	}
	t.Run("taken by another run", func(t *testing.T) {
		hold(t, open(t, b.url))
		if _, err := b.Commit(t.Context(), batch(from, events(0, 10))); !errors.Is(err, shard.ErrStale) {
			t.Fatalf("got %v, want ErrStale", err)
		}
	})
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 0)
	b.usable(t)
}

func TestCommitTwiceTheSameBatchIsStale(t *testing.T) {
	b := newBench(t)
	in := batch(b.begin(t, 1), events(0, 10))
	_, err := b.Commit(t.Context(), in)
	must(t, err)
	if _, err := b.Commit(t.Context(), in); !errors.Is(err, shard.ErrStale) {
		t.Errorf("got %v, want ErrStale: the row is our run's and at seq+1, but this Commit did not put it there", err)
	}
}

func TestCommitRefusesABatchThatLosesRecords(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	in := batch(from, events(0, 10))
	in.Seen.Received = 11
	if _, err := b.Commit(t.Context(), in); err == nil {
		t.Error("a batch with a record less than it received was committed")
	}
	equal(t, "seq", b.shard(t, 1).Seq, from.Seq)
}

func TestCommitUnderAnEndedContextChangesNothing(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	why := errors.New("stopped by signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := b.Commit(ctx, batch(from, events(0, 10))); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	equal(t, "checkpoint", b.shard(t, 1), from)
	b.usable(t)
}
