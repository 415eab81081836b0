package shard

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// seconds is a history of n records, a second apart.
func seconds(n int) []record {
	records := make([]record, n)
	for i := range records {
		at := epoch.Add(-time.Duration(i) * time.Second)
		records[i] = record{Key: Key{At: at, ID: idOf(i)}, Shown: at}
	}
	return records
}

// bench is one shard over a whole history, an API and a table without faults.
type bench struct {
	*api
	*table
	Attempt
}

func newBench(records []record, limit int) *bench {
	row := Checkpoint{ID: 1, Shard: 1, Window: Window{Past, Future}}
	b := &bench{
		api:   &api{Records: records, Limit: limit, Latency: 100 * time.Millisecond, Rand: rand.New(rand.NewPCG(1, 1))},
		table: newTable([]Checkpoint{row}, records),
	}
	b.table.Rand = rand.New(rand.NewPCG(1, 2))
	b.Attempt = Attempt{Source: b.api, Sink: b.table, From: row, Budget: NewBudget(1<<30, 0), Stats: &Stats{}, Log: quiet()}
	return b
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// whole reports whether the whole budget is given back.
func (b *Budget) whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free == b.total && b.growing == nil && len(b.waiting) == 0
}

func (b *bench) check(t *testing.T, rows int, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("ended with %v, want %v", err, want)
	}
	if got := len(b.rows); got != rows {
		t.Errorf("%d rows are stored, want %d", got, rows)
	}
	if b.wrong != nil {
		t.Error(b.wrong)
	}
	if !b.Budget.whole() {
		t.Error("the budget is not given back")
	}
	if phase := Phase(b.Stats.Phase.Load()); phase != Idle {
		t.Errorf("ended in phase %d", phase)
	}
}

func TestRunWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(95), 10)
		err := b.Run(t.Context(), t.Context())
		b.check(t, 95, err, nil)
		if row := b.Load(1); row.Proof != ProofConfirmed || row.Counts.Events != 95 {
			t.Errorf("the row says %+v", row)
		}
		if m := b.Stats; m.Pages.Load() != 11 || m.Events.Load() != 95 {
			t.Errorf("the stats say %d pages, %d events", m.Pages.Load(), m.Events.Load())
		}
	})
}

// A stop fetches no more pages, and commits those that were fetched.
func TestRunStopCommitsWhatWasFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(1000), 10)
		b.table.Latency = time.Minute
		ctx, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Minute, func() { stop(errStopped) })
		err := b.Run(ctx, t.Context())
		b.check(t, 10*len(b.Answered), err, errStopped)
		row := b.Load(1)
		if row.Proof != "" || len(b.rows) == 0 || parseCursor(row.Cursor).pos != len(b.rows) || row.Resume != b.Records[len(b.rows)-1].Key {
			t.Errorf("the row says %+v", row)
		}
	})
}

// The error is the cause of the stop, whatever error the Source returns when its context ends during a request.
func TestRunStopInARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(1000), 10)
		b.api.Latency = time.Hour
		ctx, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(150*time.Minute, func() { stop(errStopped) })
		began := time.Now()
		err := b.Run(ctx, t.Context())
		b.check(t, 20, err, errStopped)
		if took := time.Since(began); took != 150*time.Minute {
			t.Errorf("the stop took until %s", took)
		}
	})
}

// Cancelling work ends both halves at once, even during a commit and a request.
func TestRunDropsWorkAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(1000), 10)
		b.table.Latency = time.Hour
		work, kill := context.WithCancelCause(t.Context())
		time.AfterFunc(90*time.Minute, func() { kill(errKilled) })
		began := time.Now()
		err := b.Run(work, work)
		b.check(t, 10, err, errKilled)
		if took := time.Since(began); took != 90*time.Minute {
			t.Errorf("dropping took until %s", took)
		}
	})
}

func TestRunEndsWithTheSinksError(t *testing.T) {
	for name, c := range map[string]struct {
		faults sinkFaults
		want   error
		rows   int
	}{
		"stale":   {sinkFaults{Stale: 1}, ErrStale, 0},
		"failed":  {sinkFaults{Before: 1}, errWire, 0},
		"unknown": {sinkFaults{Unknown: 1}, errWire, 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(seconds(1000), 10)
				b.table.Faults = c.faults
				b.table.Latency = 10 * time.Second
				b.api.Latency = time.Hour
				began := time.Now()
				err := b.Run(t.Context(), t.Context())
				b.check(t, c.rows, err, c.want)
				if took := time.Since(began); took > time.Hour+time.Minute {
					t.Errorf("the request under way delayed the end until %s", took)
				}
			})
		})
	}
}

// blockedSink is a Sink that waits until it is opened.
type blockedSink struct {
	Sink
	open    chan struct{}
	batches []int
}

func (g *blockedSink) Commit(ctx context.Context, b Batch) (Counts, error) {
	<-g.open
	g.batches = append(g.batches, b.Rows())
	return g.Sink.Commit(ctx, b)
}

// While the sink is blocked, pages are requested only until the queue is full or the budget is exhausted.
func TestRunBackPressure(t *testing.T) {
	for name, c := range map[string]struct {
		queue  int
		budget int64
		asked  int
	}{
		"queue of one":                {1, 1 << 20, 3}, // in the commit, in the queue, in hand
		"queue of two":                {2, 1 << 20, 4},
		"queue of five":               {5, 1 << 20, 7},
		"budget below a page":         {5, 1, 1},
		"budget of one page":          {5, 2000, 1},
		"budget of two and a half":    {5, 5000, 2},
		"budget of four, small queue": {1, 8000, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(seconds(200), 10)
				g := &blockedSink{Sink: b.table, open: make(chan struct{})}
				b.Sink, b.Budget, b.Limits = g, NewBudget(c.budget, 1000), Limits{QueuePages: c.queue}
				time.AfterFunc(24*time.Hour, func() {
					if b.Asked != c.asked {
						t.Errorf("%d pages were requested, want %d", b.Asked, c.asked)
					}
					close(g.open)
				})
				err := b.Run(t.Context(), t.Context())
				b.check(t, 200, err, nil)
			})
		})
	}
}

// A batch takes the pages that are waiting, up to the one that exceeds its limit.
func TestRunBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(200), 10)
		g := &blockedSink{Sink: b.table, open: make(chan struct{})}
		b.Sink, b.Limits = g, Limits{QueuePages: 8, BatchRows: 25}
		time.AfterFunc(time.Hour, func() { close(g.open) })
		err := b.Run(t.Context(), t.Context())
		b.check(t, 200, err, nil)
		if g.batches[0] != 10 || g.batches[1] != 30 || g.batches[2] != 30 {
			t.Errorf("batches of %v rows", g.batches)
		}
	})
}

// Many shards share a budget for one page: each gets its turn, and none waits for ever.
func TestRunShardsShareABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := seconds(300)
		budget := NewBudget(1500, 0)
		var group errgroup.Group
		var benches []*bench
		for range 8 {
			b := newBench(records, 10)
			b.Budget, b.Limits.QueuePages = budget, 1
			benches = append(benches, b)
			group.Go(func() error { return b.Run(t.Context(), t.Context()) })
		}
		err := group.Wait()
		for _, b := range benches {
			b.check(t, 300, err, nil)
		}
	})
}

// Two attempts run the same shard at once: each batch is accepted from one of them only.
func TestRunTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(300), 10)
		rival := b.Attempt
		other := *b.api
		other.Rand = rand.New(rand.NewPCG(7, 7))
		rival.Source, rival.Stats = &other, &Stats{}
		first, second := make(chan error, 1), make(chan error, 1)
		locked := &lock{Sink: b.table, turn: make(chan struct{}, 1)}
		b.Sink, rival.Sink = locked, locked
		go func() { first <- b.Run(t.Context(), t.Context()) }()
		go func() { second <- rival.Run(t.Context(), t.Context()) }()
		one, two := <-first, <-second
		if (one == nil) == (two == nil) || !errors.Is(errors.Join(one, two), ErrStale) {
			t.Errorf("the attempts ended with %v and %v", one, two)
		}
		b.check(t, 300, nil, nil)
		if row := b.Load(1); row.Counts.Events != 300 || row.Counts.Duplicates > 10 {
			t.Errorf("the row says %+v", row.Counts)
		}
	})
}

// lock admits one commit at a time.
type lock struct {
	Sink
	turn chan struct{}
}

func (l *lock) Commit(ctx context.Context, b Batch) (Counts, error) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	return l.Sink.Commit(ctx, b)
}

// script is a Source that yields the pages given, and then an error.
type script struct {
	pages []Page
	err   error
}

func (s script) Pages(context.Context, Position) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		for _, p := range s.pages {
			if !yield(p, nil) {
				return
			}
		}
		if s.err != nil {
			yield(Page{}, s.err)
		}
	}
}

// The Source's error is returned, and the pages before it are committed.
func TestRunEndsWithTheSourcesError(t *testing.T) {
	page := Page{Events: []Event{seconds(1)[0].event()}, Received: 1, More: true, Cursor: "x", Start: FromTop, Bytes: 100}
	refused := &StopError{Err: errors.New("401"), Reason: Refused}
	broken := errors.New("no such endpoint")
	for name, c := range map[string]struct{ err, want error }{
		"refused":       {refused, refused},
		"not transient": {broken, broken},
		"just ends":     {nil, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(seconds(1), 10)
				b.Source = script{[]Page{page}, c.err}
				err := b.Run(t.Context(), t.Context())
				b.check(t, 1, err, c.want)
				var transient *TransientError
				if got := errors.As(err, &transient); got != (c.err == nil) {
					t.Errorf("transient: %t", got)
				}
			})
		})
	}
}

// counter is a Sink that only counts.
type counter int64

func (c *counter) Commit(_ context.Context, b Batch) (Counts, error) {
	*c += counter(b.Rows())
	counts := b.Seen
	counts.Events = int64(b.Rows())
	return counts, nil
}

// BenchmarkAttempt walks a window of 40 full pages, in order, without an API or a database: what a shard itself costs an event.
func BenchmarkAttempt(b *testing.B) {
	const pages, size = 40, 5000
	all := make([]Page, pages)
	for i := range all {
		p := Page{Received: size, Bytes: size * 347, More: i+1 < pages, Cursor: "next"}
		for k := range size {
			p.Events = append(p.Events, Event{At: epoch.Add(-time.Duration(i*size+k) * time.Millisecond), ID: idOf(i*size + k)})
		}
		all[i] = p
	}
	window := Window{Start: all[pages-1].Events[size-10].At, End: Future}
	b.ReportAllocs()
	for b.Loop() {
		var stored counter
		a := Attempt{Source: script{pages: all}, Sink: &stored, From: Checkpoint{Window: window}, Budget: NewBudget(1<<30, 0), Stats: &Stats{}, Log: quiet()}
		if err := a.Run(b.Context(), b.Context()); err != nil || stored != pages*size-9 {
			b.Fatalf("%d stored, %v", stored, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(pages*size), "ns/event")
}
