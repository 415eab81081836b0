package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// The more rows a transaction has, the less it costs a row: sorted by id, several rows fall on the same page of the index. So
// batches that find all writers busy wait in a queue, and the first one to get a writer takes others along: one transaction
// moves all their checkpoints and has one COPY. If it fails, for whatever reason, each batch is tried again alone, so its fate
// is the one it would have had without the others: stale, salvaged, given up, waited out, or, after a COMMIT without an answer,
// looked up by itself.

// group is the batches of one transaction, in the order of their shards.
type group []*commit

// groupRows is the maximum number of rows of a group of more than one batch. With 8 shards and 2 writers on two cores, the
// prototype took 16 % less CPU a row than without groups, and 13 % less with 120,000 rows (docs/performance.md).
const groupRows = 60_000

// errSeparate: the batches of the group were not committed together, and any of them may be at fault.
var errSeparate = errors.New("each batch of the group must be tried alone")

func (g group) batches() []*prepared {
	all := make([]*prepared, len(g))
	for i, c := range g {
		all[i] = c.prepared
	}
	return all
}

// setSent records whether a COMMIT of the group was sent.
func (g group) setSent(sent bool) {
	for _, c := range g {
		c.sent = sent
	}
}

// waiter is a batch that waits for a writer.
type waiter struct {
	*commit
	caller context.Context // ends if the caller gives up
	wake   func()          // ends the wait: another waiter takes the batch along
	ended  chan struct{}   // closed when that other one has finished
	err    error           // its result
}

// waitQueue holds the batches that wait for a writer.
type waitQueue struct {
	mu      sync.Mutex
	waiters []*waiter
}

func (q *waitQueue) enqueue(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiters = append(q.waiters, w)
}

// cancel takes w out of the queue; false if another waiter has taken it along.
func (q *waitQueue) cancel(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.remove(w)
}

func (q *waitQueue) remove(w *waiter) bool {
	at := slices.Index(q.waiters, w)
	if at < 0 {
		return false
	}
	q.waiters = slices.Delete(q.waiters, at, at+1)
	return true
}

// gather takes w and all that fit into its transaction out of the queue; none if another waiter has taken w along.
func (q *waitQueue) gather(w *waiter) []*waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.remove(w) {
		return nil
	}
	taken, rows := []*waiter{w}, len(w.order)
	q.waiters = slices.DeleteFunc(q.waiters, func(other *waiter) bool {
		fits := !w.alone && !other.alone && rows+len(other.order) <= groupRows
		if fits {
			taken, rows = append(taken, other), rows+len(other.order)
			other.wake()
		}
		return fits
	})
	slices.SortFunc(taken, func(a, b *waiter) int { return cmp.Compare(a.From.ID, b.From.ID) })
	return taken
}

// attempt waits for a writer and makes one transaction, or becomes part of another's. A nil error means that the batch is
// stored, by this attempt or by the one before; errSeparate, that it must be tried alone.
func (p *Postgres) attempt(ctx context.Context, c *commit) error {
	turn, wake := context.WithCancel(ctx)
	defer wake()
	w := &waiter{commit: c, caller: ctx, wake: wake, ended: make(chan struct{})}
	p.queue.enqueue(w)
	if err := p.writers.Acquire(turn, 1); err != nil {
		if p.queue.cancel(w) {
			return err
		}
		<-w.ended
		return w.err
	}
	taken := p.queue.gather(w)
	if taken == nil {
		p.writers.Release(1)
		<-w.ended
		return w.err
	}
	defer p.writers.Release(1)
	return p.commitGroup(ctx, taken)
}

// commitGroup commits the batches of several waiters, once the disk has room, and passes them the result. The rows belong to
// the callers, who reuse them as soon as they return: so all wait for the end, and if one of them gives up, the transaction is
// aborted.
func (p *Postgres) commitGroup(ctx context.Context, taken []*waiter) error {
	result := errSeparate // if a panic passes through here
	defer func() {
		for _, w := range taken {
			w.err = result
			close(w.ended)
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var g group
	for _, w := range taken {
		defer context.AfterFunc(w.caller, cancel)()
		g = append(g, w.commit)
	}
	turn, err := p.disk.enter(ctx)
	if err == nil {
		err = p.transact(ctx, g)
		p.disk.leave(turn, err)
	}
	if err != nil && len(g) > 1 && !transient(err) {
		err = fmt.Errorf("%w (%w)", errSeparate, err)
	}
	result = err
	return result
}
