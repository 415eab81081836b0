package quota

import (
	"context"
	"slices"
	"time"
)

// Table is where runs that spend the same quotas meet: table api_quotas.
type Table interface {
	// Settle locks the rows of the named quotas, hands them over in the same order, with the time by the table's own clock, and
	// keeps what settle returns. A row that is not there is handed over empty. settle asks nobody and is called once at most. An
	// error leaves open whether anything was kept.
	Settle(ctx context.Context, names []string, settle func(now time.Time, rows []State) []State) error
}

// How often the table is looked at again by a run that waits for another: until that one knows that it is not alone any more, and
// at least, whatever for. In between the log tells how long the wait is.
const (
	untilHeard = 100 * time.Millisecond
	untilAsked = 500 * time.Millisecond
)

// Join lets the pacer spend the quotas that the table knows of, together with all other runs that have joined; run is an id of
// its own. Slot it before the first Take, and Share once a second from then on. Without Share, every request that comes later than
// the last look at the table is good for is booked there.
func (p *Pacer) Join(ctx context.Context, table Table, run string) error {
	p.table, p.run = table, run
	err := p.Share(ctx)
	if err != nil {
		p.table = nil
	}
	return err
}

// Share writes down what was spent and learned, and reads what the others wrote.
func (p *Pacer) Share(ctx context.Context) error {
	err := p.meet(ctx, p.quotas, func(*quota, *quotaMeeting) {})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line.wake()
	return err
}

// Leave is the last Share: the others need not wait until this run is taken for gone. A Take after it joins again.
func (p *Pacer) Leave(ctx context.Context) error {
	return p.meet(ctx, p.quotas, func(_ *quota, m *quotaMeeting) { m.leaving = true })
}

// book makes sure of a call that was let through by what this run knows alone: at once where nobody else is there, otherwise in
// the table, under the lock of its row, where each run finds what the others have booked. Where they have left no room, the call
// is taken back, and the time until it is worth trying again returned.
//
// Where the table is out of reach, each run goes on by what it knows.
func (p *Pacer) book(ctx context.Context, w *quotaWaiter, wants set, c Slot) (Slot, time.Duration, error) {
	if c.request.booked {
		return c, 0, nil
	}
	var wait time.Duration
	err := p.meet(ctx, []*quota{c.quota}, func(q *quota, m *quotaMeeting) {
		if wait = q.confirm(m, c.request); wait > 0 {
			p.line.join(w, wants)
		}
		m.waiting = wait > 0 || p.line.waits(slices.Index(p.quotas, q), w)
	})
	switch {
	case ctx.Err() != nil:
		p.Return(c)
		return Slot{}, 0, context.Cause(ctx)
	case wait > 0:
		return Slot{}, min(wait, untilAsked), nil
	case err != nil:
		p.Log.Debug("quota not shared", "endpoint", c.Quota, "err", err)
	}
	c.At = c.request.at
	return c, 0, nil
}

// meet lets quotas meet their rows; do is called with each, between reading what the others wrote and writing.
func (p *Pacer) meet(ctx context.Context, quotas []*quota, do func(q *quota, m *quotaMeeting)) error {
	asked, before, after := time.Now(), make([]Status, len(quotas)), make([]Status, len(quotas))
	meetings := make([]*quotaMeeting, len(quotas))
	names := make([]string, len(quotas))
	for i, q := range quotas {
		names[i] = q.name
	}
	err := p.table.Settle(ctx, names, func(table time.Time, rows []State) []State {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, q := range quotas {
			m := &quotaMeeting{run: p.run, asked: asked, now: time.Now(), table: table, waiting: p.line.waits(slices.Index(p.quotas, q), nil)}
			before[i] = q.status(m.now)
			q.read(m, rows[i])
			do(q, m)
			meetings[i], rows[i] = m, q.write(m)
			after[i] = q.status(m.now)
		}
		return rows
	})
	p.mu.Lock()
	for i, q := range quotas {
		q.part(meetings[i], err)
	}
	p.mu.Unlock()
	for i := range quotas {
		p.report(before[i], after[i])
	}
	return err
}

// tellPause writes down a pause that the table does not know yet: the others learn of a refusal at once, and not within a second.
func (p *Pacer) tellPause(ctx context.Context) {
	p.mu.Lock()
	now := time.Now()
	news := p.table != nil && slices.ContainsFunc(p.quotas, func(q *quota) bool { return q.unheard(now) })
	p.mu.Unlock()
	if !news {
		return
	}
	if err := p.Share(ctx); err != nil {
		p.Log.Debug("quota not shared", "err", err)
	}
}
