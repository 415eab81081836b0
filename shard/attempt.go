package shard

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"sluice/shard/failpoint"
)

// Limits bound what one shard holds in memory. Zero means the default.
type Limits struct {
	QueuePages int // pages that wait between the halves, up to 1000; default DefaultQueuePages
	BatchRows  int // rows after which a batch takes no further page, up to 1,000,000; default DefaultBatchRows
}

// Defaults of Limits. A batch of 20,000 rows costs 2.2 times less a row than one of 1,000 (docs/performance.md).
const (
	DefaultQueuePages = 2
	DefaultBatchRows  = 20_000
)

// WithDefaults returns l with each zero replaced by its default.
func (l Limits) WithDefaults() Limits {
	return Limits{QueuePages: cmp.Or(l.QueuePages, DefaultQueuePages), BatchRows: cmp.Or(l.BatchRows, DefaultBatchRows)}
}

// Faults returns what is wrong with each limit that is out of bounds. Defaults must be filled in. Each message begins with the
// limit's name, spelled like the flag of the command line.
func (l Limits) Faults() (faults []error) {
	if l.QueuePages < 1 || l.QueuePages > 1000 {
		faults = append(faults, fmt.Errorf("queue-pages %d: must be from 1 to 1000", l.QueuePages))
	}
	if l.BatchRows < 1 || l.BatchRows > 1_000_000 {
		faults = append(faults, fmt.Errorf("batch-rows %d: must be from 1 to 1,000,000", l.BatchRows))
	}
	return faults
}

// Attempt is one run of one shard from its checkpoint.
type Attempt struct {
	Source Source
	Sink   Sink
	From   Checkpoint
	Limits Limits
	Budget *Budget // shared by all shards
	Edge   *Edge   // through which pieces of the window can be requested; default: one that nothing else knows
	Stats  *Stats
	Log    *slog.Logger
	// Guard calls a half and returns a panic in it as an error: the halves run in goroutines of their own, where a panic would
	// end the process and all other shards with it. By default panics are not caught.
	Guard func(half func() error) error
}

// Run walks the shard's window until its end is proven. Cancelling ctx means "fetch no more": everything fetched is still
// committed, under work. Cancelling work means "drop it now".
//
// A nil error means that the shard is done, and that its row says so. ErrStale, TransientError, StuckError and StopError say
// what to do next; any other error fails the shard.
func (a *Attempt) Run(ctx, work context.Context) error {
	a.Limits = a.Limits.WithDefaults()
	if a.Guard == nil {
		a.Guard = func(half func() error) error { return half() }
	}
	if a.Edge == nil {
		a.Edge = NewEdge(a.From.Window, 0)
	}
	defer a.Stats.enter(Idle)
	queue := make(chan Batch, a.Limits.QueuePages)
	defer func() {
		for b := range queue {
			a.Budget.give(b.grant)
		}
	}()
	halves, alive := errgroup.WithContext(work)
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(alive, func() { cancel(context.Cause(alive)) })()
	halves.Go(func() error {
		defer close(queue)
		defer a.Edge.close()
		defer a.Stats.enter(Queueing)
		return a.Guard(func() error { return (&walk{Attempt: a, queue: queue}).run(ctx, alive) })
	})
	halves.Go(func() error {
		return a.Guard(func() error { return a.push(work, queue) })
	})
	return halves.Wait()
}

// push commits what the pull half has queued.
func (a *Attempt) push(work context.Context, queue <-chan Batch) error {
	at := a.From
	for b := range queue {
		if err := a.commit(work, &at, b, queue); err != nil {
			return err
		}
	}
	return nil
}

// commit commits b together with what is already waiting behind it, and gives its memory back however that ends.
func (a *Attempt) commit(work context.Context, at *Checkpoint, b Batch, queue <-chan Batch) error {
	defer func() { a.Budget.give(b.grant) }()
	failpoint.Hit("page.dequeued")
	// This never waits for a page: with a fast sink a batch is one page, with a slow one batches grow, and no timer is needed.
	for waiting := true; waiting && b.Rows() < a.Limits.BatchRows; {
		select {
		case next, open := <-queue:
			if waiting = open; open {
				b.join(next)
			}
		default:
			waiting = false
		}
	}
	failpoint.Hit("batch.filled")
	b.From = *at
	if b.Split = a.Edge.split(); len(b.Split) > 0 {
		failpoint.Hit("window.split")
	}
	counts, err := a.Sink.Commit(work, b)
	if err != nil {
		return err
	}
	failpoint.Hit("memory.moved")
	at.Seq++
	if n := len(b.Split); n > 0 {
		at.Window.Start = b.Split[n-1].End
	}
	a.Stats.committed(counts, &b)
	return nil
}
