package shard

import (
	"cmp"
	"context"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"sluice/shard/failpoint"
)

// Limits bound what a shard holds. The zero value means the defaults.
type Limits struct {
	QueuePages int // pages that wait between the halves; default 2
	BatchRows  int // rows that are committed together at most, beyond the first page; default 20,000
}

func (l Limits) withDefaults() Limits {
	return Limits{QueuePages: cmp.Or(l.QueuePages, 2), BatchRows: cmp.Or(l.BatchRows, 20_000)}
}

// Attempt is one run of one shard from its checkpoint.
type Attempt struct {
	Source Source
	Sink   Sink
	From   Checkpoint
	Limits Limits
	Budget *Budget // shared by all shards
	Edge   *Edge   // may be split off while the shard is walked; default: nobody asks
	Stats  *Stats
	Log    *slog.Logger
	// Guard calls a half and returns a panic of it as an error: the halves run in goroutines of their own, where a panic would
	// end the process and all other shards with it. Default: it does.
	Guard func(half func() error) error
}

// Run walks the shard's window until its end is proven. Cancelling ctx means "take no more": what was fetched is still
// committed, under work. Cancelling work means "drop it now".
//
// A nil error means that the shard is done and its row says so. ErrStale, TransientError, StuckError and StopError say what
// to do about theirs; any other error fails the shard.
func (a *Attempt) Run(ctx, work context.Context) error {
	a.Limits = a.Limits.withDefaults()
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
		return a.Guard(func() error { return newWalk(a, queue).run(ctx, alive) })
	})
	halves.Go(func() error {
		return a.Guard(func() error { return a.push(work, queue) })
	})
	return halves.Wait()
}

// push commits what the pull half queued.
func (a *Attempt) push(work context.Context, queue <-chan Batch) error {
	at := a.From
	for b := range queue {
		if err := a.commit(work, &at, b, queue); err != nil {
			return err
		}
	}
	return nil
}

// commit commits a batch, as large as what is already waiting, and gives its memory back however that ends.
func (a *Attempt) commit(work context.Context, at *Checkpoint, b Batch, queue <-chan Batch) error {
	defer func() { a.Budget.give(b.grant) }()
	failpoint.Hit("page.dequeued")
	a.fill(&b, queue)
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
	at.Window.Start = b.start()
	a.Stats.committed(counts, &b)
	return nil
}

// fill adds to b what is waiting already. It never waits itself: with a fast sink a batch is one page, with a slow one
// batches grow, and no timer is needed.
func (a *Attempt) fill(b *Batch, queue <-chan Batch) {
	for b.Rows() < a.Limits.BatchRows {
		select {
		case next, ok := <-queue:
			if !ok {
				return
			}
			b.join(next)
		default:
			return
		}
	}
}
