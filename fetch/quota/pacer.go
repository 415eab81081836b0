// Package quota paces requests to an API as fast as its quotas allow, and no faster.
//
// A Pacer has any number of named quotas, one for each endpoint that is limited. Each is configured with its Limit, or learns it
// from the headers of answers and from refusals. Take waits for a free slot; Observe takes in the answer. Through a table, that of
// the ledger, all processes that use the same key spend the same quotas, and a process that starts knows what the one before it has
// sent and learned.
//
// A quota keeps a copy of the server's log of requests. The next request may go as soon as one has certainly left that log, which
// is the earliest time that is safe (docs/adr/0015); processes that share a quota book their requests in one row (docs/adr/0020).
package quota

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Spec describes one quota.
type Spec struct {
	Name  string // of the endpoint that it limits; it keys the quota's row in the table
	Limit Limit  // zero means it is learned from headers and refusals
	// Announced says that answers normally carry the limit. The first request then goes alone, because its answer tells how
	// many may follow; without headers in the first three answers the limit is learned like any other.
	Announced bool
}

// Config configures a Pacer.
type Config struct {
	Quotas  []Spec        // in order of preference: what an earlier one serves is left for the later ones; at most 64
	MaxWait time.Duration // a longer wait at all quotas, such as a long Retry-After, ends the run; default 15 minutes
	Pause   *shard.Pause  // no slot is given out during it; nil means there is none
	Log     *slog.Logger  // gets refusals and what is learned from them; default slog.Default
}

func (c Config) withDefaults() Config {
	c.MaxWait = cmp.Or(c.MaxWait, longestPause)
	c.Log = cmp.Or(c.Log, slog.Default())
	return c
}

func (c Config) validate() error {
	var errs []error
	if n := len(c.Quotas); n < 1 || n > maxQuotas {
		errs = append(errs, fmt.Errorf("Config.Quotas: %d quotas, need 1 to %d", n, maxQuotas))
	}
	names := map[string]bool{"": true}
	for _, q := range c.Quotas {
		if names[q.Name] {
			errs = append(errs, fmt.Errorf("Config.Quotas: the name %q is empty or used twice", q.Name))
		}
		names[q.Name] = true
		if err := q.Limit.validate(); err != nil {
			errs = append(errs, fmt.Errorf("Config.Quotas: %s: %w", q.Name, err))
		}
	}
	if c.MaxWait < time.Second {
		errs = append(errs, fmt.Errorf("Config.MaxWait: %s is less than 1s", c.MaxWait))
	}
	return errors.Join(errs...)
}

// Pacer lets requests through as fast as its quotas allow, and no faster. All fetchers of a run share one. It has no goroutine of
// its own, and is safe for concurrent use.
type Pacer struct {
	Config

	// One mutex over all quotas: choosing a quota and taking its slot must be one step.
	mu     sync.Mutex
	quotas []*quota // as in Config.Quotas
	queue  waitQueue
	hits   cacheHits

	table  ledger.Quotas // shared with other runs; nil means there are none
	source string        // whose rows there
	run    string
}

// NewPacer returns a Pacer with all quotas unspent, or everything that is wrong with the configuration.
func NewPacer(c Config) (*Pacer, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	p := &Pacer{Config: c}
	for _, spec := range c.Quotas {
		p.quotas = append(p.quotas, newQuota(spec))
	}
	return p, nil
}

// Slot permits one request. It must be given to Observe or to Return whatever becomes of the request: after a refusal the quota
// waits for the answer to a single request. Only the first of these calls counts, so that a deferred Return is harmless.
type Slot struct {
	Quota   string    // name of the quota that it is taken from
	At      time.Time // when it was given out
	quota   *quota
	request *request
}

// ErrNoQuota means that Take was called for a request that may use none of the quotas.
var ErrNoQuota = errors.New("no quota is usable for this request")

// Take waits until a quota for which usable returns true has a free slot, and takes it. If several have one, the first in the
// order of Config.Quotas is taken. usable gets the quota's name; it is called before every choice, outside of any lock. When ctx
// ends, Take returns its cause and takes nothing.
//
// Callers are served in the order of their calls. Otherwise, with more fetchers than requests per minute, an unlucky fetcher would
// wait until its cursor, which lives 120 s, has expired.
//
// If every usable quota is closed for longer than MaxWait, and none of its requests is under way, the error is a *shard.StopError, or a *shard.TransientError while one of
// the others is open and in use.
func (p *Pacer) Take(ctx context.Context, usable func(name string) bool) (Slot, error) {
	w := new(waiter)
	defer p.cancel(w)
	for ctx.Err() == nil && p.Pause.Wait(ctx) == nil {
		var wants set
		for i, q := range p.quotas {
			if usable(q.name) {
				wants |= 1 << i
			}
		}
		if wants == 0 {
			return Slot{}, ErrNoQuota
		}
		p.shareNews(ctx)
		slot, wait, err := p.tryTake(w, wants)
		if slot.request != nil && !slot.request.booked {
			slot, wait, err = p.book(ctx, w, wants, slot)
		}
		if err != nil || slot.request != nil {
			return slot, err
		}
		select {
		case <-w.again:
		case <-p.Pause.Changed():
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return Slot{}, context.Cause(ctx)
}

// arrival is how long after an answer no wait is too long: a run that ends meanwhile may drop the page that it brought.
const arrival = 5 * time.Second

// tryTake takes a slot for w, or puts w into the queue and returns how long to wait there unless something changes. It knows of
// other runs what was read from the table last; a slot that is not booked still has to be confirmed there.
func (p *Pacer) tryTake(w *waiter, wants set) (Slot, time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, paused := p.Pause.Paused(); paused { // since a moment ago; a waiter keeps its place in the queue
		return Slot{}, 0, nil
	}
	now := time.Now()
	wait, near := time.Duration(untilAnswer), false
	for i, q := range p.quotas {
		if !wants.has(i) {
			continue
		}
		if p.queue.ahead(w, i) {
			near = true
			continue
		}
		r, free := q.take(now)
		if r != nil {
			r.booked = p.table == nil || q.limit == Unlimited || q.share.free(now)
			return Slot{Quota: q.name, At: now, quota: q, request: r}, 0, nil
		}
		near = near || free <= p.MaxWait || free == untilAnswer || q.inFlight > 0
		if left := arrival - now.Sub(q.answered); left > 0 { // what was under way until now is to be stored
			free, near = min(free, left), true
		}
		wait = min(wait, free)
	}
	if !near {
		return Slot{}, 0, p.tooLong(now, wants, wait)
	}
	p.queue.enqueue(w, wants)
	return Slot{}, wait, nil
}

// tooLong returns the error for a wait beyond MaxWait. While another quota is open and used, it does not end the run: what may use
// that goes on.
func (p *Pacer) tooLong(now time.Time, wants set, wait time.Duration) error {
	back := now.Add(wait).Format(time.RFC3339)
	err := fmt.Errorf("wait for quota: the API allows no request before %s, in %s", back, wait.Round(time.Second))
	for i, q := range p.quotas {
		if !wants.has(i) && q.pause.Sub(now) <= p.MaxWait && now.Sub(q.used) < p.MaxWait {
			return &shard.TransientError{Err: err, After: wait}
		}
	}
	return &shard.StopError{Err: err, Hint: "run the same command again after " + back + ": it resumes", Reason: shard.WaitTooLong}
}

// cancel removes w from the queue.
func (p *Pacer) cancel(w *waiter) {
	if w.again == nil { // it was never in there
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue.cancel(w)
}

// Sent reports that the request of s has just been written to the connection. Until then the time of Take counts, which is earlier
// by the time it takes to connect.
func (p *Pacer) Sent(s Slot) {
	p.change(s, func(q *quota, now time.Time) { q.restamp(now, s.request) })
}

// Return gives back a slot whose request was never sent. It is free again at once.
func (p *Pacer) Return(s Slot) {
	p.change(s, func(q *quota, _ time.Time) { q.release(s.request) })
}

// Refused reports that the answer to s is a refusal, before all of it has arrived. No slot of the quota is given out until Observe
// says how long to wait.
func (p *Pacer) Refused(s Slot) {
	p.change(s, func(q *quota, _ time.Time) { q.refusing(s.request) })
}

// Observe takes in the answer to s.
func (p *Pacer) Observe(s Slot, a Answer) {
	p.change(s, func(q *quota, now time.Time) {
		q.observe(now, s.request, p.weigh(q, a))
	})
}

// Stamped reports the time by the server's clock at which the server saw the request of s. The answer must have been observed.
func (p *Pacer) Stamped(s Slot, seen time.Time) {
	p.change(s, func(q *quota, now time.Time) { q.stamp(now, s.request, seen) })
}

// change applies a change to the quota of s and wakes the queue. It logs after the lock was released, because a log may block.
func (p *Pacer) change(s Slot, do func(q *quota, now time.Time)) {
	if s.request == nil {
		return
	}
	p.mu.Lock()
	now := time.Now()
	before := s.quota.status(now)
	do(s.quota, now)
	after := s.quota.status(now)
	p.queue.wake()
	p.mu.Unlock()
	p.logChange(before, after)
}

// logChange logs a refusal, and a limit that has changed.
func (p *Pacer) logChange(before, after Status) {
	if after.Refusals > before.Refusals {
		p.Log.Warn("quota refused", "endpoint", after.Name, "paused_until", after.PausedUntil, "requests", after.Recent)
	}
	if after.Limit != before.Limit {
		p.Log.Info("quota changed", "endpoint", after.Name, "limit", after.Limit, "was", before.Limit, "known", after.Known)
	}
}
