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

// Config is what is known beforehand.
type Config struct {
	List, Stream Limit         // zero: found out from headers and refusals
	MaxWait      time.Duration // a longer wait, such as a Retry-After, ends the run; default 15 minutes
	Pause        *shard.Pause  // while it is shut, nothing is let through; default: it never is
	Log          *slog.Logger  // refusals, and what is learned from them; default slog.Default
}

func (c Config) withDefaults() Config {
	c.MaxWait = cmp.Or(c.MaxWait, longestPause)
	c.Log = cmp.Or(c.Log, slog.Default())
	return c
}

func (c Config) validate() error {
	var errs []error
	for _, l := range []struct {
		field string
		limit Limit
	}{{"List", c.List}, {"Stream", c.Stream}} {
		if err := l.limit.validate(); err != nil {
			errs = append(errs, fmt.Errorf("Config.%s: %w", l.field, err))
		}
	}
	if c.MaxWait < time.Second {
		errs = append(errs, fmt.Errorf("Config.MaxWait: %s is less than 1s", c.MaxWait))
	}
	return errors.Join(errs...)
}

// Pacer lets requests through as fast as both quotas allow, and no faster. All fetchers of a run share one. It has no
// goroutine and no clock of its own.
type Pacer struct {
	Config

	// One mutex over both quotas: choosing the endpoint and taking its slot must be one step.
	mu     sync.Mutex
	quotas [2]*quota // in order of preference
	line   quotaLine
	hits   hitsKnown

	table Table // where other runs are met, under the name of run; nil: there are none
	run   string
}

// NewPacer returns a Pacer with both quotas unspent; Join tells it otherwise.
func NewPacer(c Config) (*Pacer, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	p := &Pacer{Config: c}
	p.quotas = [...]*quota{newQuota(shard.List, c.List), newQuota(shard.Stream, c.Stream)}
	return p, nil
}

// Slot is one request that was let through. It must be given to Observe or to Return, whatever becomes of it: after a
// refusal the quota waits for the answer to a single request. Only the first of them counts, so that a deferred
// Return is harmless.
type Slot struct {
	Endpoint shard.Endpoint
	At       time.Time // when it was let through
	request  *quotaRequest
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

// ErrNoEndpoint: Take was called for a request that no endpoint can serve.
var ErrNoEndpoint = errors.New("no endpoint is usable for this request")

// Take waits until an endpoint for which usable is true has a free slot, and takes it. The list is preferred:
// whatever it serves is left for the stream. usable is asked before every choice, outside of any lock. When ctx ends,
// so does the wait, and nothing is taken.
//
// Callers are served in the order in which they came. With more fetchers than requests a minute, a cursor that lives
// 120 s would else die in the hands of the unlucky ones.
//
// Nothing is taken while the gate is shut.
//
// Where every usable endpoint lets nothing through for longer than MaxWait, the error is a *shard.StopError.
func (p *Pacer) Take(ctx context.Context, usable func(shard.Endpoint) bool) (Slot, error) {
	w := new(quotaWaiter)
	defer p.leave(w)
	for ctx.Err() == nil && p.Pause.Wait(ctx) == nil {
		wants := [2]bool{usable(p.quotas[0].endpoint), usable(p.quotas[1].endpoint)}
		if wants == [2]bool{} {
			return Slot{}, ErrNoEndpoint
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
func (p *Pacer) tryTake(w *quotaWaiter, wants [2]bool) (Slot, time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, shut := p.Pause.Paused(); shut { // just now: who stands in line keeps the place
		return Slot{}, 0, nil
	}
	now := time.Now()
	wait, near := time.Duration(untilReply), false
	for i, q := range p.quotas {
		if !wants[i] {
			continue
		}
		if p.line.ahead(w, i) {
			near = true
			continue
		}
		r, free := q.take(now)
		if r != nil {
			r.booked = p.table == nil || q.limit == Unlimited || q.share.free(now)
			return Slot{Endpoint: q.endpoint, At: now, request: r}, 0, nil
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
	q := p.quotas[c.Endpoint-shard.List]
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
		p.Log.Warn("quota refused", "endpoint", after.Endpoint, "paused_until", after.PausedUntil, "requests", after.Recent)
	}
	if after.Limit != before.Limit {
		p.Log.Info("quota changed", "endpoint", after.Endpoint, "limit", after.Limit, "was", before.Limit, "known", after.Known)
	}
}
