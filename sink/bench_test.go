package sink

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/shard"
)

// The server of the tests runs without fsync: these figures serve to compare one change of the code with another.

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

// What each transaction pays for looking at the table: to be set beside BenchmarkCommit.
func BenchmarkGuard(b *testing.B) {
	bench := newBench(b)
	known, err := bench.identified(b.Context())
	must(b, err)
	conn, err := bench.pool.Acquire(b.Context())
	must(b, err)
	defer conn.Release()
	look, err := guard(b.Context(), conn.Conn(), known)
	must(b, err)
	for b.Loop() {
		_, err := conn.Conn().PgConn().Exec(b.Context(), "begin; "+checkDeferred+"; "+look+"; commit").ReadAll()
		must(b, err)
	}
}

// All rows exist already: the cost of reading a window again.
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
	twoWriters(b, 20, (*writer).commit)
}

// How the old system writes: INSERTs of 1,000 rows each that skip existing ones, and an update of the row with its progress.
func BenchmarkCommitTwoWritersValues(b *testing.B) {
	twoWriters(b, 4, (*writer).commitValues)
}

// Every batch through the staging table, which Sluice keeps for batches that a plain COPY cannot store.
func BenchmarkCommitTwoWritersStaged(b *testing.B) {
	twoWriters(b, 4, (*writer).commitStaged)
}

func twoWriters(b *testing.B, batches int, commit func(*writer, *testing.B, []shard.Event)) {
	const rows = 5000
	bench := newBench(b, threeWindows...)
	writers := []*writer{newWriter(b, bench, 1, rows), newWriter(b, bench, 2, rows)}
	for b.Loop() {
		b.StopTimer()
		var in [2][][]shard.Event
		for n, w := range writers {
			for range batches {
				in[n] = append(in[n], w.fresh())
			}
		}
		b.StartTimer()
		var wg sync.WaitGroup
		for n, w := range writers {
			wg.Go(func() {
				for _, events := range in[n] {
					commit(w, b, events)
				}
			})
		}
		wg.Wait()
	}
	b.ReportMetric(float64(b.N*2*batches*rows)/b.Elapsed().Seconds(), "rows/s")
	if stored := bench.count(b, `select count(*) from public.ingested_events`); stored != int64(b.N*2*batches*rows) {
		b.Errorf("%d rows are stored, not %d", stored, b.N*2*batches*rows)
	}
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

func (w *writer) commitStaged(b *testing.B, events []shard.Event) {
	in := batch(w.from, events)
	l, err := prepare(&in)
	if err != nil {
		b.Error(err)
		return
	}
	if err := w.p.transact(b.Context(), group{{prepared: l, staged: true}}); err != nil {
		b.Error(err)
	}
	w.from.Seq++
}

func (w *writer) commitValues(b *testing.B, events []shard.Event) {
	err := pgx.BeginFunc(b.Context(), w.p.pool, func(tx pgx.Tx) error {
		for rows := range slices.Chunk(events, valuesRows) {
			if _, err := tx.Exec(b.Context(), insertValues(), valuesOf(rows)...); err != nil {
				return err
			}
		}
		_, err := tx.Exec(b.Context(), `update public.ingestion_shards set seq = seq + 1, updated_at = now() where id = $1`, w.from.ID)
		return err
	})
	if err != nil {
		b.Error(err)
	}
}

// valuesRows are the rows of one INSERT.
const valuesRows = 1000

// insertValues is an INSERT of valuesRows rows, nine values each. pgx prepares it once a connection, which takes half of the CPU
// that parsing it every time takes: the fairest form of the old way.
var insertValues = sync.OnceValue(func() string {
	var b strings.Builder
	b.WriteString(`insert into public.ingested_events (` + copyColumns + `) values `)
	for i := range valuesRows * 9 {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%9 == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	return b.String() + `) on conflict (id) do nothing`
})

// valuesOf are the values of the rows.
func valuesOf(rows []shard.Event) []any {
	args := make([]any, 0, len(rows)*9)
	for i := range rows {
		e := &rows[i]
		args = append(args, e.ID.String(), e.Session.String(), e.User.String(), e.Type, e.Name, e.Properties, e.At.Time(),
			e.Device, e.Browser)
	}
	return args
}
