package quota

import (
	"context"
	"slices"
	"time"

	"sluice/coordinator/ledger"
)

// How long a run waits for another before it looks at the table again.
const (
	untilOthersBook = 100 * time.Millisecond // for one that does not know yet that it is not alone
	untilLookAgain  = 500 * time.Millisecond // at most, whatever it waits for
)

// Join makes the pacer share its quotas, through the rows of a source in a table, with all other runs that have joined; run is its
// own unique id. Call it before the first Take, and Share once a second from then on. Without Share every request is booked in the
// table, except for a moment after the last look. With the rows the next run, a command that only looks at the API and a backfill
// spend the same quota, and nothing is learned twice.
func (p *Pacer) Join(ctx context.Context, table ledger.Quotas, source, run string) error {
	p.table, p.source, p.run = table, source, run
	err := p.Share(ctx)
	if err != nil {
		p.table = nil
	}
	return err
}

// Share writes what was sent and learned, and reads what the other runs wrote.
func (p *Pacer) Share(ctx context.Context) error {
	err := p.sync(ctx, p.quotas, func(*quota, *visit) {})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue.wake()
	return err
}

// Leave is the last Share. The others need not wait then until this run is taken for dead. A Take after it joins again.
func (p *Pacer) Leave(ctx context.Context) error {
	return p.sync(ctx, p.quotas, func(_ *quota, v *visit) { v.leaving = true })
}

// book confirms, in the table, a slot that was taken by what this run knows alone: under the lock of the row, where each run finds
// what the others have booked. If they have left no room, the slot is taken back, w is put into the queue, and the time until it is
// worth trying again is returned with the zero Slot.
//
// If the table can't be reached, each run goes on by what it knows.
func (p *Pacer) book(ctx context.Context, w *waiter, wants set, s Slot) (Slot, time.Duration, error) {
	var wait time.Duration
	err := p.sync(ctx, []*quota{s.quota}, func(q *quota, v *visit) {
		if wait = q.confirm(v, s.request); wait > 0 {
			p.queue.enqueue(w, wants)
		}
		v.waiting = wait > 0 || p.queue.waits(slices.Index(p.quotas, q), w)
	})
	switch {
	case ctx.Err() != nil:
		p.Return(s)
		return Slot{}, 0, context.Cause(ctx)
	case wait > 0:
		return Slot{}, min(wait, untilLookAgain), nil
	case err != nil:
		p.Log.Debug("quota not shared", "endpoint", s.Quota, "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if q := s.quota; q.refusedInFlight > 0 || time.Now().Before(q.pause) { // a refusal came while the table was asked
		q.release(s.request)
		p.queue.enqueue(w, wants)
		return Slot{}, 0, nil
	}
	s.At = s.request.at
	return s, 0, nil
}

// sync exchanges quotas with their rows. do is called with each, after reading what the others wrote and before writing.
func (p *Pacer) sync(ctx context.Context, quotas []*quota, do func(q *quota, v *visit)) error {
	names, visits := make([]string, len(quotas)), make([]*visit, len(quotas))
	before, after := make([]Status, len(quotas)), make([]Status, len(quotas))
	for i, q := range quotas {
		names[i] = q.name
	}
	asked := time.Now()
	err := p.table.SettleQuotas(ctx, p.source, names, func(table time.Time, rows []ledger.Quota) []ledger.Quota {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, q := range quotas {
			v := &visit{run: p.run, asked: asked, now: time.Now(), table: table, waiting: p.queue.waits(slices.Index(p.quotas, q), nil)}
			before[i] = q.status(v.now)
			q.read(v, rows[i])
			do(q, v)
			visits[i], rows[i] = v, q.write(v)
			after[i] = q.status(v.now)
		}
		return rows
	})
	p.mu.Lock()
	for i, q := range quotas {
		q.finish(visits[i], err)
	}
	p.mu.Unlock()
	for i := range quotas {
		p.logChange(before[i], after[i])
	}
	return err
}

// shareNews writes a pause that the table does not have yet: the other runs learn of a refusal at once, not within a second.
func (p *Pacer) shareNews(ctx context.Context) {
	if p.table == nil {
		return
	}
	p.mu.Lock()
	now := time.Now()
	news := slices.ContainsFunc(p.quotas, func(q *quota) bool {
		return q.pause.After(later(now, q.share.pauseHere)) && !now.Before(q.share.unreachable)
	})
	p.mu.Unlock()
	if !news {
		return
	}
	if err := p.Share(ctx); err != nil {
		p.Log.Debug("quota not shared", "err", err)
	}
}
