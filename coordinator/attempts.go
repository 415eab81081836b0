package coordinator

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/conc/panics"
	"golang.org/x/sync/semaphore"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// pool is the fetchers of a run: a slot for an attempt and a clock each.
type pool struct {
	slots  *semaphore.Weighted
	clocks []*shard.Clock

	mu   sync.Mutex
	free []*shard.Clock
}

func newPool(fetchers int) *pool {
	p := &pool{slots: semaphore.NewWeighted(int64(fetchers))}
	for range fetchers {
		p.clocks = append(p.clocks, new(shard.Clock))
	}
	p.free = slices.Clone(p.clocks)
	slices.Reverse(p.free) // the last one is taken first
	return p
}

// start starts all clocks. A fetcher without a shard is idle from here on.
func (p *pool) start() {
	for _, clock := range p.clocks {
		clock.Enter(shard.Idle)
	}
}

// acquire waits for a free fetcher and returns its clock. The fetcher waits for the database then, which begins the attempt.
func (p *pool) acquire(ctx context.Context) (*shard.Clock, error) {
	if p.slots.Acquire(ctx, 1) != nil {
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.free) - 1
	clock := p.free[last]
	p.free = p.free[:last]
	clock.Enter(shard.Queueing)
	return clock, nil
}

func (p *pool) release(clock *shard.Clock) {
	p.mu.Lock()
	clock.Enter(shard.Idle)
	p.free = append(p.free, clock)
	p.mu.Unlock()
	p.slots.Release(1)
}

// spent returns how each fetcher has spent its time so far.
func (p *pool) spent() (all []shard.Spent) {
	for _, clock := range p.clocks {
		all = append(all, clock.Spent())
	}
	return all
}

// unfinishedError means that the run ended before the shard did.
type unfinishedError struct{ cause error }

func (e *unfinishedError) Error() string { return e.cause.Error() }
func (e *unfinishedError) Unwrap() error { return e.cause }

// attempts is what is remembered from one attempt of a shard to the next.
type attempts struct {
	faults  int           // in a row, without a commit in between
	stuck   int           // faults in the data, since the shard last got further
	after   time.Duration // wait requested by the API
	reached shard.Key     // the farthest resume point committed
	dice    *rand.Rand    // for the pauses
}

// A pause after a fault is a random time up to a bound, which doubles from the first to the longest.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
)

// pause returns how long to wait before the next attempt. It has full jitter, so that shards that failed together do not come
// back together, on top of what the API asked for, because it asks the same of all of them.
func (a *attempts) pause() time.Duration {
	bound := min(firstPause<<min(a.faults-1, 10), longestPause)
	after := a.after
	a.after = 0
	return after + time.Duration(a.dice.Int64N(int64(bound)))
}

// committed forgives the faults so far. Faults in the data are forgiven only to a shard that got further: one that reads and
// commits the same again and again is stuck all the same.
func (a *attempts) committed(resume shard.Key) {
	a.faults = 0
	if !resume.IsZero() && (a.reached.IsZero() || a.reached.Leads(resume)) {
		a.reached, a.stuck = resume, 0
	}
}

// finish makes attempts until the shard is done. Each starts from the row: a fault is handled exactly like a kill -9. clock is
// that of a fetcher acquired for the first attempt, or nil.
func (c *Coordinator) finish(ctx, work context.Context, cp shard.Checkpoint, clock *shard.Clock) error {
	a := attempts{dice: rand.New(rand.NewPCG(c.seed, uint64(cp.ID)))}
	for {
		err := guard(func() error { return c.attempt(ctx, work, cp, clock, &a) })
		clock = nil
		if err == nil || errors.Is(err, errForgotten) {
			return err
		}
		if ctx.Err() != nil {
			return c.leave(work, cp, context.Cause(ctx))
		}
		c.shards.faulted(cp.Shard, err)
		if err = c.classify(&a, err); err != nil {
			return c.fail(ctx, work, cp, err)
		}
		c.shards.waits(cp.Shard, forRetry)
		if shard.Sleep(ctx, a.pause()) != nil {
			return c.leave(work, cp, context.Cause(ctx))
		}
	}
}

// attempt runs a shard once, with a fetcher: the one acquired for it, or the next that is free.
func (c *Coordinator) attempt(ctx, work context.Context, cp shard.Checkpoint, clock *shard.Clock, a *attempts) error {
	if clock == nil {
		c.shards.waits(cp.Shard, forFetcher)
		var err error
		if clock, err = c.fetchers.acquire(ctx); err != nil {
			return err
		}
	}
	defer c.fetchers.release(clock)
	c.shards.waits(cp.Shard, forBegin)
	at, err := c.store.Begin(ctx, cp.ID)
	if err != nil {
		return c.notBegun(ctx, &cp, err)
	}
	if c.config.Sequential && at.Seq == 0 && at.Cursor == "" { // start where the newer neighbour ended
		all, err := c.store.Load(ctx)
		if err != nil {
			return fmt.Errorf("load the newer neighbour: %w", err)
		}
		for _, newer := range all {
			if newer.Window.Start == at.Window.End && newer.State == shard.Done {
				at.Cursor, at.CursorExpires = newer.Cursor, newer.CursorExpires
			}
		}
	}
	failpoint.Hit("shard.begun")
	log := c.config.Log.With("shard", at.Shard)
	log.Debug("attempt", "window", at.Window, "seq", at.Seq, "attempt", at.Attempts)
	stats, edge := c.shards.begin(&at, clock), shard.NewEdge(at.Window, c.config.Oldest)
	c.sharing.update(func(s *sharing) { s.walks[at.ID] = walk{edge, stats} })
	defer c.sharing.update(func(s *sharing) { delete(s.walks, at.ID) })
	attempt := shard.Attempt{
		Source: shardSource{c.source, c.stop}, Sink: &shardSink{c, a}, From: at, Limits: c.config.Limits,
		Budget: c.budget, Edge: edge, Stats: stats, Log: log, Guard: guard,
	}
	if err = attempt.Run(ctx, work); err != nil {
		c.shards.set(at.Shard, shard.Pending)
		return err
	}
	failpoint.Hit("shard.done")
	c.shards.set(at.Shard, shard.Done)
	return nil
}

// notBegun looks in the ledger for the reason why an attempt could not begin, and returns nil if the shard is done: its last
// commit may have landed although its answer never arrived. A piece that is gone was undone by a database that failed over to a
// standby which was behind: its window is a part of another's again.
func (c *Coordinator) notBegun(ctx context.Context, cp *shard.Checkpoint, err error) error {
	stale, piece := errors.Is(err, shard.ErrStale), cp.Parent != 0
	if stale || piece {
		all, unknown := c.store.Load(ctx)
		i := slices.IndexFunc(all, func(row shard.Checkpoint) bool { return row.ID == cp.ID })
		switch {
		case unknown != nil && piece:
			return fmt.Errorf("begin an attempt: %w; and cannot see whether the shard still exists: %w", err, unknown)
		case unknown != nil:
		case stale && i >= 0 && all[i].State == shard.Done:
			c.shards.set(cp.Shard, shard.Done)
			return nil
		case piece && i < 0:
			c.shards.drop(cp.Shard)
			return errForgotten
		}
	}
	return fmt.Errorf("begin an attempt: %w", err)
}

// classify returns nil if the shard is to be run again after a fault, and otherwise why not.
func (c *Coordinator) classify(a *attempts, err error) error {
	var stop *shard.StopError
	var stuck *shard.StuckError
	var transient *shard.TransientError
	a.faults++
	switch {
	case errors.As(err, &stop):
		c.stop(err)
		return &unfinishedError{err}
	case errors.Is(err, shard.ErrStale):
		return nil
	case errors.As(err, &stuck):
		if a.stuck++; a.stuck >= stuck.Limit {
			return err
		}
		a.after = stuck.After
		return nil
	case errors.As(err, &transient):
		a.after = transient.After
		return nil
	}
	return err
}

// fail records why a shard failed, in its row too.
func (c *Coordinator) fail(ctx, work context.Context, cp shard.Checkpoint, err error) error {
	if left, ok := errors.AsType[*unfinishedError](err); ok {
		return c.leave(work, cp, left.cause)
	}
	c.config.Log.Warn("shard failed; the others continue", "shard", cp.Shard, "window", cp.Window, "err", err)
	c.shards.set(cp.Shard, shard.Failed)
	if recordErr := c.store.Fail(work, cp.ID, shard.Failed, err.Error()); recordErr != nil {
		c.config.Log.Warn("cannot record the failure in the shard's row", "shard", cp.Shard, "err", recordErr)
	}
	return err
}

// leave records in its row that the shard waits for the next run.
func (c *Coordinator) leave(work context.Context, cp shard.Checkpoint, cause error) error {
	if err := c.store.Fail(work, cp.ID, shard.Pending, cause.Error()); err != nil {
		c.config.Log.Debug("cannot record the stop in the shard's row", "shard", cp.Shard, "err", err)
	}
	failpoint.Hit("shard.left")
	return &unfinishedError{cause}
}

// shardSink is the store as the Sink of one shard.
type shardSink struct {
	*Coordinator
	attempts *attempts
}

// Commit commits, forgives the shard's faults so far, resets the watchdog, and stops the run if there are too many dead
// letters. It starts the pieces that the batch splits off, and then idle fetchers may request more.
func (s *shardSink) Commit(ctx context.Context, b shard.Batch) (counts shard.Counts, err error) {
	s.sharing.update(func(s *sharing) { s.promised += len(b.Split) })
	defer s.sharing.requestSplits(s.config.Fetchers)
	defer s.sharing.update(func(s *sharing) { s.promised -= len(b.Split) })
	err = guard(func() (err error) {
		counts, err = s.store.Commit(ctx, b)
		return err
	})
	if err != nil {
		return counts, err
	}
	s.attempts.committed(b.Resume)
	s.watchdog.committed()
	s.shards.committed(b.From.Shard)
	s.count(counts)
	if len(b.Split) > 0 {
		s.adopt(ctx)
	}
	return counts, nil
}

// count adds to what the job has committed, and stops the run if it has more dead letters than allowed. Both figures must be of
// the same moment, or a share would be judged by the dead letters of one commit and the records of another.
func (c *Coordinator) count(n shard.Counts) {
	c.mu.Lock()
	c.counts = c.counts.Add(n)
	sum := c.counts
	c.mu.Unlock()
	if allowed := c.config.MaxDeadLetters; allowed != nil && sum.DeadLetters > allowed(sum.Received) {
		c.stop(fmt.Errorf("%w: %d of %d records", ErrTooManyDeadLetters, sum.DeadLetters, sum.Received))
	}
}

// shardSource is the source as one shard sees it. A shard returns an error only when everything it fetched is committed, which
// is too late for an error that stops the run.
type shardSource struct {
	shard.Source
	stop context.CancelCauseFunc
}

// Pages stops all fetchers as soon as one of them gets a StopError.
func (s shardSource) Pages(ctx context.Context, from shard.Position) iter.Seq2[shard.Page, error] {
	return func(yield func(shard.Page, error) bool) {
		for page, err := range s.Source.Pages(ctx, from) {
			if errors.As(err, new(*shard.StopError)) {
				s.stop(err)
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

// PanicError is a panic inside a shard, with its stack.
type PanicError struct{ Recovered *panics.Recovered }

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Recovered.Value) }

// guard returns a panic of f as an error, so that it does not take the other shards down.
func guard(f func() error) (err error) {
	if caught := panics.Try(func() { err = f() }); caught != nil {
		return &PanicError{caught}
	}
	return err
}
