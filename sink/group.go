package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// A transaction costs the less a row the more rows it has: sorted by id, several of them fall upon the same page of the index.
// So batches that find all writers busy wait together, and whoever gets a writer first takes the others along: it leads their
// group through one transaction, which moves all their checkpoints and has one COPY. Whatever goes wrong there, each batch is
// tried again alone, and so has the fate that it would have had without the others: it is stale, salvaged, given up or waited
// for, and after a COMMIT without an answer it is looked for by itself.

// group is batches that are committed by one transaction, in the order of their shards.
type group []*commit

// groupRows is how many rows a group has at most, if it has more than one batch. With 8 shards and 2 writers on two cores:
// the prototype took 16 % less CPU a row than without groups, with 120,000 rows 13 % (docs/performance.md).
const groupRows = 60_000

// errApart: the batches of the group did not go in together, and the fault may be with any of them.
var errApart = errors.New("each batch of the group is to be tried alone")

func (g group) loads() []*load {
	all := make([]*load, len(g))
	for i, c := range g {
		all[i] = c.load
	}
	return all
}

// mark notes whether a COMMIT of the group was sent.
func (g group) mark(sent bool) {
	for _, c := range g {
		c.sent = sent
	}
}

// seat is a batch that waits for a writer.
type seat struct {
	*commit
	caller context.Context // when it ends, the caller does not wait any longer
	rise   func()          // ends the wait: another takes the batch along
	ended  chan struct{}   // closed when that other is through
	err    error           // what came of it
}

// waiting is all that waits for a writer.
type waiting struct {
	mu    sync.Mutex
	seats []*seat
}

func (w *waiting) sit(s *seat) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seats = append(w.seats, s)
}

// leave ends the wait of s; false if another has taken it.
func (w *waiting) leave(s *seat) bool {
	at := slices.Index(w.seats, s)
	if at < 0 {
		return false
	}
	w.seats = slices.Delete(w.seats, at, at+1)
	return true
}

// gather takes s and those that may come along with it; none if another has taken s.
func (w *waiting) gather(s *seat) []*seat {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.leave(s) {
		return nil
	}
	taken, rows := []*seat{s}, len(s.order)
	w.seats = slices.DeleteFunc(w.seats, func(other *seat) bool {
		fits := !s.alone && !other.alone && rows+len(other.order) <= groupRows
		if fits {
			taken, rows = append(taken, other), rows+len(other.order)
			other.rise()
		}
		return fits
	})
	slices.SortFunc(taken, func(a, b *seat) int { return cmp.Compare(a.From.ID, b.From.ID) })
	return taken
}

// abandon ends the wait of s, because its caller does not wait any longer; false if another has taken it.
func (w *waiting) abandon(s *seat) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leave(s)
}

// attempt waits for a writer and makes one transaction, or becomes part of another's. A nil error means that the batch is in,
// by this attempt or by the one before; errApart, that it is to be tried alone.
func (p *Postgres) attempt(ctx context.Context, c *commit) error {
	turn, rise := context.WithCancel(ctx)
	defer rise()
	s := &seat{commit: c, caller: ctx, rise: rise, ended: make(chan struct{})}
	p.waiting.sit(s)
	if err := p.writers.Acquire(turn, 1); err != nil {
		if p.waiting.abandon(s) {
			return err
		}
		<-s.ended
		return s.err
	}
	taken := p.waiting.gather(s)
	if taken == nil {
		p.writers.Release(1)
		<-s.ended
		return s.err
	}
	defer p.writers.Release(1)
	return p.lead(ctx, taken)
}

// lead commits a group and tells its members what came of it. The rows belong to the callers, who take them back when they
// return: so all wait for the end, and when one of them will not wait any longer, the transaction is broken off.
func (p *Postgres) lead(ctx context.Context, taken []*seat) error {
	told := errApart // where a panic goes through here, too
	defer func() {
		for _, s := range taken {
			s.err = told
			close(s.ended)
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var g group
	for _, s := range taken {
		defer context.AfterFunc(s.caller, cancel)()
		g = append(g, s.commit)
	}
	told = p.transactInTurn(ctx, g)
	if told != nil && len(g) > 1 && !transient(told) {
		told = fmt.Errorf("%w (%w)", errApart, told)
	}
	return told
}

// transactInTurn waits while the disk is full.
func (p *Postgres) transactInTurn(ctx context.Context, g group) error {
	turn, err := p.disk.enter(ctx)
	if err != nil {
		return err
	}
	err = p.transact(ctx, g)
	p.disk.leave(turn, err)
	return err
}
