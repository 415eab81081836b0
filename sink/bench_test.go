package sink

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"sluice/shard"
)

// The server of the tests runs without fsync: these figures are for comparing one change of the code with another.

func BenchmarkCommit(b *testing.B) {
	for _, rows := range []int{1000, 5000, 20_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			w := newWriter(b, newBench(b), 1, rows)
			for b.Loop() {
				b.StopTimer()
				in := w.fresh()
				b.StartTimer()
				w.commit(b, in)
			}
			b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// All rows are there already: what reading a window once more costs.
func BenchmarkCommitDuplicates(b *testing.B) {
	const rows = 5000
	w := newWriter(b, newBench(b), 1, rows)
	in := w.fresh()
	w.commit(b, in)
	for b.Loop() {
		w.commit(b, in)
	}
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
}

// Two shards commit at the same time, as in a run.
func BenchmarkCommitTwoWriters(b *testing.B) {
	const rows, batches = 5000, 20
	bench := newBench(b, threeWindows...)
	writers := []*writer{newWriter(b, bench, 1, rows), newWriter(b, bench, 2, rows)}
	for b.Loop() {
		b.StopTimer()
		var in [2][batches][]shard.Event
		for n, w := range writers {
			for i := range in[n] {
				in[n][i] = w.fresh()
			}
		}
		b.StartTimer()
		var wg sync.WaitGroup
		for n, w := range writers {
			wg.Go(func() {
				for _, events := range in[n] {
					w.commit(b, events)
				}
			})
		}
		wg.Wait()
	}
	b.ReportMetric(float64(b.N*2*batches*rows)/b.Elapsed().Seconds(), "rows/s")
}

// writer commits batch after batch of one shard.
type writer struct {
	p    *Postgres
	from shard.Checkpoint
	rows int
	rand *rand.Rand
}

func newWriter(b *testing.B, bench *bench, n, rows int) *writer {
	return &writer{p: bench.Postgres, from: bench.begin(b, n), rows: rows, rand: rand.New(rand.NewPCG(uint64(n), 1))}
}

// fresh returns events with random ids, as the API's.
func (w *writer) fresh() []shard.Event {
	all := make([]shard.Event, w.rows)
	for i := range all {
		all[i] = event(i)
		binary.BigEndian.PutUint64(all[i].ID[:], w.rand.Uint64())
		binary.BigEndian.PutUint64(all[i].ID[8:], w.rand.Uint64())
	}
	return all
}

func (w *writer) commit(b *testing.B, events []shard.Event) {
	if _, err := w.p.Commit(b.Context(), batch(w.from, events)); err != nil {
		b.Error(err)
	}
	w.from.Seq++
}
