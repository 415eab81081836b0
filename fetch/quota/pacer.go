// Package quota paces requests to an API as fast as its quotas allow, and no faster: a Pacer learns limits from headers and
// refusals, or is configured with them, and shares them with other processes through a Table.
package quota

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sluice/shard"
)

// Spec describes one quota.
type Spec struct {
	Name  string // of the endpoint that it limits; it keys the quota's row in the Table
	Limit Limit  // zero means it is learned from headers and refusals
	// Announced says that answers normally carry the limit. The first request then goes alone, because its answer tells how
	// many may follow; without headers in the first three answers the limit is learned like any other.
	Announced bool
}

// Config configures a Pacer.
type Config struct {
	Quotas  []Spec        // in order of preference: what an earlier one serves is left for the later ones; at most 64
	MaxWait time.Duration // a longer wait, such as a Retry-After, ends the run; default 15 minutes
	Pause   *shard.Pause  // while it is shut, nothing is let through; default: it never is
	Log     *slog.Logger  // refusals, and what is learned from them; default slog.Default
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

// Pacer lets requests through as fast as its quotas allow, and no faster. All fetchers of a run share one. It has no
// goroutine and no clock of its own.
type Pacer struct {
	Config

	// One mutex over all quotas: choosing the endpoint and taking its slot must be one step.
	mu     sync.Mutex
	quotas []*quota // in order of preference
	line   quotaLine
	hits   hitsKnown

	table Table // where other runs are met, under the name of run; nil: there are none
	run   string
}

// NewPacer returns a Pacer with all quotas unspent; Join tells it otherwise.
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

// Slot is one request that was let through. It must be given to Observe or to Return, whatever becomes of it: after a
// refusal the quota waits for the answer to a single request. Only the first of them counts, so that a deferred
// Return is harmless.
type Slot struct {
	Quota   string    // name of the quota that it is taken from
	At      time.Time // when it was let through
	quota   *quota
	request *quotaRequest
}

// Answer is what a reply said about the quota; the zero Answer where there was none. The server counts a request that
// was cut off as well.
type Answer struct {
	Refused    bool          // status 429
	RetryAfter time.Duration // of a 429, or of a fault such as 503; 0: not said
	Limit      int           // requests per window, from the headers; 0: there were none
	Remaining  int
	Reset      time.Duration // until the oldest request that the server remembers is forgotten
	Cached     bool          // from the API's cache, so that it may not have been counted
	Free       bool          // known not to have been counted
}

// ErrNoQuota means that Take was called for a request that may use none of the quotas.
var ErrNoQuota = errors.New("no quota is usable for this request")

// Take waits until a quota for which usable returns true has a free slot, and takes it, the first of them in the order of
// Config.Quotas. usable gets the quota's name; it is called before every choice, outside of any lock. When ctx ends,
// so does the wait, and nothing is taken.
//
// Callers are served in the order in which they came. With more fetchers than requests a minute, a cursor that lives
// 120 s would else die in the hands of the unlucky ones.
//
// Nothing is taken while the gate is shut.
//
// If every usable quota lets nothing through for longer than MaxWait, the error is a *shard.StopError.
func (p *Pacer) Take(ctx context.Context, usable func(name string) bool) (Slot, error) {
	w := new(quotaWaiter)
	defer p.leave(w)
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
		call, wait, err := p.tryTake(w, wants)
		if call.request != nil {
			call, wait, err = p.book(ctx, w, wants, call)
		} else {
			p.tellPause(ctx)
		}
		if err != nil || call.request != nil {
			return call, err
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

// tryTake takes a slot for w, or puts it in line and says how long to wait there unless something changes.
func (p *Pacer) tryTake(w *quotaWaiter, wants set) (Slot, time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, shut := p.Pause.Paused(); shut { // just now: who stands in line keeps the place
		return Slot{}, 0, nil
	}
	now := time.Now()
	wait, near := time.Duration(untilReply), false
	for i, q := range p.quotas {
		if !wants.has(i) {
			continue
		}
		if p.line.ahead(w, i) {
			near = true
			continue
		}
		r, free := q.take(now)
		if r != nil {
			r.booked = p.table == nil || q.limit == Unlimited || q.share.free(now)
			return Slot{Quota: q.name, At: now, quota: q, request: r}, 0, nil
		}
		wait, near = min(wait, free), near || free <= p.MaxWait || free == untilReply
	}
	if !near {
		return Slot{}, 0, TooLong(now, wait)
	}
	p.line.join(w, wants)
	return Slot{}, wait, nil
}

// TooLong returns the error for a wait beyond MaxWait.
func TooLong(now time.Time, wait time.Duration) error {
	back := now.Add(wait).Format(time.RFC3339)
	return &shard.StopError{
		Err:    fmt.Errorf("wait for quota: the API wants no request before %s, in %s", back, wait.Round(time.Second)),
		Hint:   "run the same command again after " + back + ": it resumes",
		Reason: shard.WaitTooLong,
	}
}

// leave takes w out of the line, if it still stands there.
func (p *Pacer) leave(w *quotaWaiter) {
	if w.again == nil { // never stood in it
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line.leave(w)
}

// Sent tells that the request of c was written just now. Until then the time of Take counts, which differs by what it takes
// to connect.
func (p *Pacer) Sent(c Slot) {
	p.change(c, func(q *quota, now time.Time) { q.restamp(now, c.request) })
}

// Return gives back a call that was never sent: its slot is free again.
func (p *Pacer) Return(c Slot) {
	p.change(c, func(q *quota, _ time.Time) { q.release(c.request) })
}

// Refused tells that the answer to c is a refusal, before all of it is here. Nobody goes until Observe says how long to wait.
func (p *Pacer) Refused(c Slot) {
	p.change(c, func(q *quota, _ time.Time) { q.hear(c.request) })
}

// Observe takes note of the answer to c.
func (p *Pacer) Observe(c Slot, a Answer) {
	p.change(c, func(q *quota, now time.Time) {
		q.observe(now, c.request, p.weigh(q, a))
	})
}

// Stamped tells what the server's clock said when it saw the request of c, whose answer was observed.
func (p *Pacer) Stamped(c Slot, seen time.Time) {
	p.change(c, func(q *quota, now time.Time) { q.stamp(now, c.request, seen) })
}

// change does something to the quota of c and tells those who wait. What came of it is logged after the lock was
// released: a log may block.
func (p *Pacer) change(c Slot, do func(q *quota, now time.Time)) {
	if c.request == nil {
		return
	}
	p.mu.Lock()
	now := time.Now()
	q := c.quota
	before := q.status(now)
	do(q, now)
	after := q.status(now)
	p.line.wake()
	p.mu.Unlock()
	p.report(before, after)
}

// report logs a refusal, and a limit that is no longer what it was.
func (p *Pacer) report(before, after Status) {
	if after.Refusals > before.Refusals {
		p.Log.Warn("quota refused", "endpoint", after.Name, "paused_until", after.PausedUntil, "requests", after.Recent)
	}
	if after.Limit != before.Limit {
		p.Log.Info("quota changed", "endpoint", after.Name, "limit", after.Limit, "was", before.Limit, "known", after.Known)
	}
}
