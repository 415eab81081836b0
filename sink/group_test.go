package sink

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sluice/shard"
	"sluice/sink/pgtest"
)

// crowd is one batch of each of three shards, which become one group: all writers are busy until all of them wait.
type crowd struct {
	*bench
	through  *Postgres // commits; the bench itself reads
	batches  [3]shard.Batch
	callers  [3]context.Context
	counts   [3]shard.Counts
	errs     [3]error
	returned [3]sync.WaitGroup
}

func newCrowd(t *testing.T, b *bench, through *Postgres, rows int) *crowd {
	t.Helper()
	c := &crowd{bench: b, through: through}
	for n := range c.batches {
		from, err := through.Begin(t.Context(), b.shard(t, n+1).ID)
		must(t, err)
		c.batches[n] = batch(from, events(n*rows, rows))
		c.callers[n] = t.Context()
	}
	return c
}

// enqueue makes all batches wait for one writer; the other one is busy until the test ends.
func (c *crowd) enqueue(t *testing.T) {
	t.Helper()
	must(t, c.through.writers.Acquire(t.Context(), 2))
	for n := range c.batches {
		c.returned[n].Go(func() { c.counts[n], c.errs[n] = c.through.Commit(c.callers[n], c.batches[n]) })
		c.awaitQueue(t, n+1) // so that the first one takes the others along
	}
}

func (c *crowd) awaitQueue(t *testing.T, n int) {
	t.Helper()
	for {
		c.through.queue.mu.Lock()
		waiting := len(c.through.queue.waiters)
		c.through.queue.mu.Unlock()
		switch {
		case waiting == n:
			return
		case t.Context().Err() != nil:
			t.Fatalf("%d batches wait, not %d", waiting, n)
		}
	}
}

// commit lets a writer take the group, and waits until all calls have returned.
func (c *crowd) commit() {
	c.through.writers.Release(1)
	for n := range c.returned {
		c.returned[n].Wait()
	}
	c.through.writers.Release(1)
}

// stored fails the test if a shard's batch is not stored once and as counted; or, if an error is given, if any of it is stored.
func (c *crowd) stored(t *testing.T, n int, want shard.Counts, wantErr error) {
	t.Helper()
	if !errors.Is(c.errs[n], wantErr) {
		t.Errorf("batch %d: got %v, want %v", n+1, c.errs[n], wantErr)
	}
	equal(t, "counts", c.counts[n], want)
	after := c.shard(t, n+1)
	equal(t, "counts of the checkpoint", after.Counts, want)
	equal(t, "moves of the checkpoint", after.Seq, map[bool]int64{true: 1}[wantErr == nil])
	rows := int64(0)
	for e := range c.batches[n].Events() {
		rows += c.count(t, `select count(*) from ingested_events where id = $1 and name = $2`, e.ID, e.Name)
	}
	equal(t, "rows of the batch", rows, want.Events)
}

// whole returns the counts of a batch of n events that are all stored.
func whole(n int64) shard.Counts { return shard.Counts{Received: n, Events: n} }

const countTransactions = `select count(distinct xmin::text) from ingested_events`

// countDisorder counts the rows that are stored after one with a greater id.
const countDisorder = `
select count(*) from (select id < lag(id) over (order by ctid) as wrong from ingested_events) pairs where wrong`

func TestBatchesThatWaitShareATransaction(t *testing.T) {
	b := newBench(t, threeWindows...)
	c := newCrowd(t, b, b.Postgres, 200)
	c.enqueue(t)
	c.commit()
	for n := range c.batches {
		c.stored(t, n, whole(200), nil)
	}
	equal(t, "transactions", b.count(t, countTransactions), 1)
	equal(t, "rows out of order", b.count(t, countDisorder), 0)
	b.usable(t)
}

func TestAGroupHasABound(t *testing.T) {
	b := newBench(t, threeWindows...)
	c := newCrowd(t, b, b.Postgres, groupRows/3+1)
	c.enqueue(t)
	c.commit()
	must(t, cmp.Or(c.errs[0], c.errs[1], c.errs[2]))
	equal(t, "transactions", b.count(t, countTransactions), 2)
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 3*(groupRows/3+1))
}

// Each batch of a group has the result that it would have had alone.
func TestOneOfAGroupIsStale(t *testing.T) {
	b := newBench(t, threeWindows...)
	c := newCrowd(t, b, b.Postgres, 50)
	c.batches[1].From.Seq++
	c.enqueue(t)
	c.commit()
	c.stored(t, 0, whole(50), nil)
	c.stored(t, 1, shard.Counts{}, shard.ErrStale)
	c.stored(t, 2, whole(50), nil)
	b.usable(t)
}

func TestARowOfAGroupIsRefused(t *testing.T) {
	b := newBench(t, threeWindows...)
	c := newCrowd(t, b, b.Postgres, 50)
	c.batches[1].Pages[0][7].Name = strings.Repeat("x", 101)
	c.batches[2].Pages[0][9].Properties = "{\"a\":\"\x00\"}"
	c.enqueue(t)
	c.commit()
	c.stored(t, 0, whole(50), nil)
	c.stored(t, 1, shard.Counts{Received: 50, Events: 49, DeadLetters: 1}, nil)
	c.stored(t, 2, shard.Counts{Received: 50, Events: 49, DeadLetters: 1}, nil)
	b.usable(t)
}

func TestTheSameEventTwiceInAGroup(t *testing.T) {
	b := newBench(t, threeWindows...)
	c := newCrowd(t, b, b.Postgres, 50)
	c.batches[2].Pages[0][9] = c.batches[0].Pages[0][3]
	c.enqueue(t)
	c.commit()
	c.stored(t, 1, whole(50), nil)
	must(t, cmp.Or(c.errs[0], c.errs[2]))
	equal(t, "counts", c.counts[0].Add(c.counts[2]), shard.Counts{Received: 100, Events: 99, Duplicates: 1})
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 149)
}

// Dead letters of several shards would be locked in no order that two transactions share.
func TestABatchWithDeadLettersSharesNoTransaction(t *testing.T) {
	b := newBench(t, threeWindows...)
	c := newCrowd(t, b, b.Postgres, 50)
	c.batches[1].Rejects = []shard.Reject{reject(`{`, "")}
	c.batches[1].Seen.Received++
	c.enqueue(t)
	c.commit()
	c.stored(t, 0, whole(50), nil)
	c.stored(t, 1, shard.Counts{Received: 51, Events: 50, DeadLetters: 1}, nil)
	c.stored(t, 2, whole(50), nil)
	equal(t, "transactions", b.count(t, countTransactions), 2)
}

// After a COMMIT without an answer, each batch is looked up by itself.
func TestALineCutAtTheCommitOfAGroup(t *testing.T) {
	for name, at := range map[string]pgtest.Break{
		"before the COMMIT": pgtest.BeforeCommit, "after it": pgtest.AfterCommit, "in the middle of the COPY": pgtest.InCopy,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, threeWindows...)
			proxy := pgtest.NewProxy(t, b.url)
			c := newCrowd(t, b, open(t, proxy.URL()), 1000)
			c.enqueue(t)
			proxy.Cut(at)
			c.commit()
			equal(t, "cuts", proxy.Cuts(), 1)
			for n := range c.batches {
				c.stored(t, n, whole(1000), nil)
			}
		})
	}
}

func TestOneOfThoseThatWaitIsCalledBack(t *testing.T) {
	b := newBench(t, threeWindows...)
	c := newCrowd(t, b, b.Postgres, 50)
	why := errors.New("stopped by signal")
	caller, callBack := context.WithCancelCause(t.Context())
	c.callers[0] = caller
	c.enqueue(t)
	callBack(why)
	c.returned[0].Wait() // while the others still wait
	c.commit()
	c.stored(t, 0, shard.Counts{}, why)
	c.stored(t, 1, whole(50), nil)
	c.stored(t, 2, whole(50), nil)
	equal(t, "transactions", b.count(t, countTransactions), 1)
}

// The transaction has begun and waits for the row of the last shard when the caller of another batch, or of the one that has the
// writer, gives up.
func TestOneOfAGroupUnderWayIsCalledBack(t *testing.T) {
	for name, who := range map[string]int{"the leader": 0, "another": 1} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, threeWindows...)
			c := newCrowd(t, b, b.Postgres, 50)
			why := errors.New("stopped by signal")
			caller, callBack := context.WithCancelCause(t.Context())
			c.callers[who] = caller
			admin := b.session(t)
			_, err := admin.Exec(t.Context(), `begin; select from ingestion_shards order by id desc limit 1 for update`)
			must(t, err)
			c.enqueue(t)
			c.through.writers.Release(1)
			b.await(t, new(atomic.Bool), `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`)
			callBack(why)
			c.returned[who].Wait()
			_, err = admin.Exec(t.Context(), `rollback`)
			must(t, err)
			must(t, c.through.writers.Acquire(t.Context(), 1))
			c.commit()
			c.stored(t, who, shard.Counts{}, why)
			c.stored(t, 1-who, whole(50), nil)
			c.stored(t, 2, whole(50), nil)
			b.usable(t)
		})
	}
}
