package sink

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sluice/shard"
	"sluice/sink/pgtest"
)

// Eight writers over an hour of a full disk: the first attempts of each, and then one a minute, never two at a time.
func TestOneWriterAMinuteTriesAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newFullDisk(diskFullWait)
		began := time.Now()
		var mu sync.Mutex
		tries, busy := 0, 0
		one := func() bool {
			turn, err := disk.enter(t.Context())
			must(t, err)
			mu.Lock()
			tries++
			busy++
			if turn && busy > 1 {
				t.Errorf("%d writers try at a time", busy)
			}
			mu.Unlock()
			must(t, shard.Sleep(t.Context(), 3*time.Second)) // the COPY, until it fails
			mu.Lock()
			busy--
			mu.Unlock()
			err = nil
			if time.Since(began) < time.Hour {
				err = &pgconn.PgError{Code: diskFull}
			}
			disk.leave(turn, err)
			return err == nil
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for !one() {
				}
			})
		}
		wg.Wait()
		if tries < 8+55 || tries > 8+60+8 {
			t.Errorf("%d tries in an hour by 8 writers", tries)
		}
		if took := time.Since(began); took > time.Hour+70*time.Second {
			t.Errorf("the last writer came through %v after the disk had room", took-time.Hour)
		}
	})
}

// The writer whose turn it is fails in another way: the turn passes to the next one.
func TestAnotherFaultDoesNotEndTheTriesOfAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newFullDisk(diskFullWait)
		disk.leave(false, &pgconn.PgError{Code: diskFull})
		turn, err := disk.enter(t.Context())
		must(t, err)
		equal(t, "turn", turn, true)
		disk.leave(turn, context.DeadlineExceeded)
		turn, err = disk.enter(t.Context())
		must(t, err)
		equal(t, "turn of the next", turn, true)
		disk.leave(turn, nil)
		turn, err = disk.enter(t.Context())
		must(t, err)
		equal(t, "turn where there is room", turn, false)
	})
}

func TestAStopEndsTheWaitForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newFullDisk(diskFullWait)
		disk.leave(false, &pgconn.PgError{Code: diskFull})
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("stopped by signal")
		cancel(why)
		if _, err := disk.enter(ctx); !errors.Is(err, why) {
			t.Errorf("got %v, want the cause", err)
		}
	})
}

// Four shards commit onto a disk that fills up in the middle: they pause, the table does not grow meanwhile, and once there
// is room all of them go on, with exact counts. Each writer once retried by itself, and left dead rows behind.
func TestAFullDiskIsWaitedOutByAllWriters(t *testing.T) {
	disk := pgtest.SmallDisk(t, 48)
	b := newBenchAt(t, disk.Database(), fourWindows...)
	b.disk.every = 300 * time.Millisecond
	const batches, rows = 10, 500
	var wg sync.WaitGroup
	disk.Fill(1500)
	for n := range 4 {
		from := b.begin(t, n+1)
		wg.Go(func() {
			for i := range batches {
				if _, err := b.Commit(t.Context(), batch(from, events((n*batches+i)*rows, rows))); err != nil {
					t.Errorf("shard %d, batch %d: %v", n+1, i, err)
					return
				}
				from.Seq++
			}
		})
	}
	awaitOutage(t, b.Postgres)
	b.awaitTries(t, 2) // whoever was under way when it began has failed by now
	if _, err := b.Waiting(); !errors.Is(err, ErrDiskFull) {
		t.Errorf("waits for %v, want ErrDiskFull", err)
	}
	equal(t, "quotas are left alone", b.SettleQuotas(t.Context(), "source", []string{"list"}, unsettled), ErrDiskFull)
	const size = `select pg_total_relation_size('ingested_events')`
	before, began := b.count(t, size), time.Now()
	b.awaitTries(t, 5)
	if took := time.Since(began); took < 4*b.disk.every {
		t.Errorf("five tries within %v, they must be %v apart", took, b.disk.every)
	}
	if grown := b.count(t, size) - before; grown > 5*8192 {
		t.Errorf("five tries have made the table larger by %d bytes", grown)
	}
	disk.Free()
	wg.Wait()
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 4*batches*rows)
	equal(t, "rows of the ledger", b.count(t, `select sum(events)::bigint from ingestion_shards`), 4*batches*rows)
	since, _ := b.Waiting()
	equal(t, "the pause is over", since.IsZero(), true)
	b.usable(t)
}

var fourWindows = []shard.Window{{Start: shard.Past, End: 1e15}, {Start: 1e15, End: 2e15}, {Start: 2e15, End: 3e15}, {Start: 3e15, End: shard.Future}}

// awaitTries waits until n more tries have found the disk full.
func (b *bench) awaitTries(t *testing.T, n int) {
	t.Helper()
	for last := b.disk.nextTry(); n > 0; {
		if next := b.disk.nextTry(); !next.Equal(last) {
			last = next
			n--
		}
		if t.Context().Err() != nil {
			t.Fatal("no more tries")
		}
	}
}

func (f *fullDisk) nextTry() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next
}
