package sink

import (
	"context"
	"errors"
	"sync"
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

// halved returns a batch of n events that splits off everything older as a piece.
func halved(from shard.Checkpoint, at int, n int) shard.Batch {
	b := batch(from, events(at, n))
	m := event(at + n).At
	b.Split = []shard.Window{{Start: from.Window.Start, End: m}}
	return b
}

// tiles fails the test unless the windows of the job's round tile the span, each with a number of its own.
func (b *bench) tiles(tb testing.TB) []shard.Checkpoint {
	tb.Helper()
	all, err := b.Load(tb.Context(), b.job.ID)
	must(tb, err)
	edge, numbers := b.job.Span.Start, map[int]bool{}
	for _, c := range all {
		if c.Window.Start != edge || numbers[c.Shard] {
			tb.Errorf("shard %d has %s, where %s was to follow", c.Shard, c.Window, edge)
		}
		edge, numbers[c.Shard] = c.Window.End, true
	}
	equal(tb, "end of the last window", edge, b.job.Span.End)
	return all
}

// A batch that splits its window moves the start and inserts the piece, in one transaction with its rows.
func TestCommitSplits(t *testing.T) {
	b := newBench(t)
	hold(t, b.Postgres)
	from := b.begin(t, 1)
	_, err := b.Commit(t.Context(), halved(from, 0, 10))
	must(t, err)
	all := b.tiles(t)
	piece, rest := all[0], all[1]
	equal(t, "parent of the piece", piece.Parent, from.ID)
	equal(t, "number of the piece", piece.Shard, 2)
	equal(t, "state of the piece", piece.State, shard.Pending)
	equal(t, "seq of the rest", rest.Seq, 1)
	equal(t, "start of the rest", rest.Window.Start, event(10).At)
	_, err = b.Begin(t.Context(), piece.ID)
	must(t, err)
	b.usable(t)
}

// If the rows are not stored, nothing is split; nor does a stale batch split anything.
func TestASplitIsPartOfItsCommit(t *testing.T) {
	b := newBench(t)
	hold(t, b.Postgres)
	from := b.begin(t, 1)
	_, err := b.Commit(t.Context(), batch(from, events(0, 10)))
	must(t, err)
	_, err = b.Commit(t.Context(), halved(from, 10, 10))
	if err == nil {
		t.Error("a stale batch was committed")
	}
	from.Seq++
	from.Window.Start = event(100).At // not what the row says
	_, err = b.Commit(t.Context(), halved(from, 10, 10))
	if err == nil {
		t.Error("a window was split that the row does not have")
	}
	equal(t, "windows", len(b.tiles(t)), 1)
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 10)
	b.usable(t)
}

// All shards of a job split at the same time: no two pieces get the same number.
func TestManySplitAtOnce(t *testing.T) {
	const shards = 6
	windows := make([]shard.Window, shards)
	for i := range windows {
		windows[i] = shard.Window{Start: event(1000 * (shards - i)).At, End: event(1000 * (shards - i - 1)).At}
	}
	b := newBench(t, windows...)
	hold(t, b.Postgres)
	var all sync.WaitGroup
	var batches []shard.Batch // made before the first piece moves the others on
	for n := range shards {
		batches = append(batches, halved(b.begin(t, n+1), 1000*(shards-n-1), 10))
	}
	for n, next := range batches {
		all.Go(func() {
			if _, err := b.Commit(t.Context(), next); err != nil {
				t.Errorf("shard %d: %v", n+1, err)
			}
		})
	}
	all.Wait()
	equal(t, "windows", len(b.tiles(t)), 2*shards)
}

// The last commit of a run that is taken over splits its window while the new run waits for the row: the piece is the new run's.
func TestAPieceOfTheLastMomentIsClaimed(t *testing.T) {
	old, ctx := newBench(t), t.Context()
	lock, err := old.Lock(ctx)
	must(t, err)
	last := halved(old.begin(t, 1), 0, 10)
	tx, err := old.pool.Begin(ctx)
	must(t, err)
	defer rollback(ctx, tx)
	_, err = tx.Exec(ctx, `update ingestion_shards set seq = seq + 1 where id = $1`, last.From.ID)
	must(t, err)
	must(t, split(ctx, tx, &last))
	lock.Close(ctx)

	next := open(t, old.url)
	var taken sync.WaitGroup
	taken.Go(func() { hold(t, next) })
	for old.count(t, `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%set run_id%'`) == 0 {
		must(t, ctx.Err())
	}
	must(t, tx.Commit(ctx))
	taken.Wait()
	for _, c := range old.tiles(t) {
		if _, err := next.Begin(ctx, c.ID); err != nil {
			t.Errorf("shard %d %s: %v", c.Shard, c.Window, err)
		}
	}
	equal(t, "windows", len(old.tiles(t)), 2)
}

// A database that went back in time has forgotten a split, and gives the id of the piece to that of another one. The batch of the
// first, on its way all the while, would move the checkpoint of the second to where nothing was read.
func TestABatchOfAForgottenPieceIsStale(t *testing.T) {
	b := newBench(t)
	hold(t, b.Postgres)
	from := b.begin(t, 1)
	_, err := b.Commit(t.Context(), halved(from, 0, 10))
	must(t, err)
	forgotten := b.begin(t, 1)
	_, err = b.pool.Exec(t.Context(), `
		delete from ingestion_shards where parent_id is not null;
		truncate ingested_events;
		update ingestion_shards set seq = 0, window_start = '-infinity', received = 0, events = 0;
		select setval(pg_get_serial_sequence('ingestion_shards', 'id'), max(id)) from ingestion_shards`)
	must(t, err)
	_, err = b.Commit(t.Context(), halved(from, 0, 5))
	must(t, err)
	equal(t, "id of the other piece", b.tiles(t)[0].ID, forgotten.ID)
	_, err = b.Commit(t.Context(), batch(forgotten, events(10, 10)))
	if !errors.Is(err, shard.ErrStale) {
		t.Errorf("the batch of a piece that is forgotten: %v", err)
	}
	equal(t, "seq of the other piece", b.tiles(t)[0].Seq, 0)
	b.usable(t)
}
