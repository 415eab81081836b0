package sink

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/pgtest"
)

// bench is a fresh migrated database with one job of one window, opened by one run.
type bench struct {
	*Postgres
	url string
	job *ledger.Job
}

func open(tb testing.TB, url string) *Postgres {
	tb.Helper()
	p, err := Open(tb.Context(), Config{URL: url, Job: "test", Log: slog.New(slog.NewTextHandler(tb.Output(), nil))})
	must(tb, err)
	tb.Cleanup(p.Close)
	return p
}

func newBench(tb testing.TB, windows ...shard.Window) *bench {
	tb.Helper()
	return newBenchAt(tb, pgtest.Database(tb), windows...)
}

func newBenchAt(tb testing.TB, url string, windows ...shard.Window) *bench {
	tb.Helper()
	p := open(tb, url)
	must(tb, p.Migrate(tb.Context()))
	if len(windows) == 0 {
		windows = []shard.Window{{Start: shard.Past, End: shard.Future}}
	}
	span := shard.Window{Start: windows[0].Start, End: windows[len(windows)-1].End}
	job, err := p.CreateJob(tb.Context(), ledger.Job{Name: "test", Source: "simulator:seed=1", Span: span}, windows)
	must(tb, err)
	return &bench{Postgres: p, url: url, job: job}
}

// hold takes the job for a run until the test ends.
func hold(tb testing.TB, p *Postgres) {
	tb.Helper()
	lock, err := p.Lock(tb.Context())
	must(tb, err)
	tb.Cleanup(func() { lock.Close(context.WithoutCancel(tb.Context())) })
}

// begin takes the n-th shard, counted from 1.
func (b *bench) begin(tb testing.TB, n int) shard.Checkpoint {
	tb.Helper()
	c, err := b.Begin(tb.Context(), b.shard(tb, n).ID)
	must(tb, err)
	return c
}

func (b *bench) shard(tb testing.TB, n int) shard.Checkpoint {
	tb.Helper()
	all, err := b.Load(tb.Context(), b.job.ID)
	must(tb, err)
	return all[n-1]
}

// count returns the number that a query selects.
func (b *bench) count(tb testing.TB, sql string, args ...any) (n int64) {
	tb.Helper()
	must(tb, b.pool.QueryRow(tb.Context(), sql, args...).Scan(&n))
	return n
}

// usable fails the test if the pool does not recover from a fault.
func (b *bench) usable(tb testing.TB) {
	tb.Helper()
	n := int32(-1)
	// The pool closes a broken connection beside everything else, within 15 s, and counts it until then.
	for patience := time.Now().Add(30 * time.Second); time.Now().Before(patience); {
		must(tb, b.pool.Ping(context.WithoutCancel(tb.Context())))
		if n = b.pool.Stat().AcquiredConns(); n == 0 {
			return
		}
	}
	tb.Errorf("%d connections were not given back", n)
}

// event returns the n-th event: always the same, ids in no order, newest first.
func event(n int) shard.Event {
	id := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n))
	return shard.Event{
		ID: id, Session: uuid.NewSHA1(id, []byte("session")), User: uuid.NewSHA1(id, []byte("user")),
		At: shard.Instant(1_769_541_612_369_123 - 1000*int64(n)), Type: "click", Name: fmt.Sprintf("event_%d", n),
		Properties: `{"page":"/home"}`, Device: "tablet", Browser: "Edge",
	}
}

func events(first, n int) []shard.Event {
	all := make([]shard.Event, n)
	for i := range all {
		all[i] = event(first + i)
	}
	return all
}

// batch returns one of these events, on two pages, and rejects that follows from.
func batch(from shard.Checkpoint, events []shard.Event, rejects ...shard.Reject) shard.Batch {
	b := shard.Batch{From: from, Pages: [][]shard.Event{events[:len(events)/2], events[len(events)/2:]}, Rejects: rejects, Cursor: "next"}
	b.Seen.Received = int64(len(events) + len(rejects))
	if len(events) > 0 {
		b.Resume = events[len(events)-1].Key()
	}
	return b
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func equal[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// keyAt returns the key of the n-th event.
func keyAt(n int) shard.Key {
	e := event(n)
	return e.Key()
}

// reject returns a record that could not become an event.
func reject(raw, id string) shard.Reject {
	return shard.Reject{Raw: []byte(raw), RawBytes: len(raw), SHA256: sha256.Sum256([]byte(raw)), EventID: id, Reason: "json",
		Detail: "not JSON", Endpoint: "list"}
}
