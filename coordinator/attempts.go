package coordinator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// unfinishedError: the run ended before the shard did.
type unfinishedError struct{ cause error }

func (e *unfinishedError) Error() string { return e.cause.Error() }
func (e *unfinishedError) Unwrap() error { return e.cause }

// attempts is what the loop over a shard's attempts remembers.
type attempts struct {
	faults  int           // in a row, without a commit in between
	stuck   int           // that came from the data, since the shard last got further
	after   time.Duration // that the API asked to wait
	reached shard.Key     // the farthest resume point committed
	dice    *rand.Rand    // of the pauses
	seated  bool          // the place for the first attempt is taken already
}

// committed forgives the faults so far. Those that came from the data it forgives only to a shard that got further: one that
// reads and commits the same again and again is stuck all the same.
func (a *attempts) committed(resume shard.Key) {
	a.faults = 0
	if !resume.IsZero() && (a.reached.IsZero() || a.reached.Before(resume)) {
		a.reached, a.stuck = resume, 0
	}
}

// finish gives a shard attempts until it is done. Each starts from the row: the way after a fault is the way after kill -9.
func (c *Coordinator) finish(ctx, work context.Context, cp shard.Checkpoint, seated bool) error {
	a := attempts{seated: seated, dice: rand.New(rand.NewPCG(c.seed, uint64(cp.ID)))}
	for {
		err := guard(func() error { return c.attempt(ctx, work, cp, &a) })
		if err == nil || errors.Is(err, errForgotten) {
			return err
		}
		if ctx.Err() != nil {
			return c.leave(work, cp, context.Cause(ctx))
		}
		c.shards.faulted(cp.Shard, err)
		if err = c.judge(&a, err); err != nil {
			return c.fail(ctx, work, cp, err)
		}
		c.shards.waits(cp.Shard, forPause)
		if shard.Sleep(ctx, a.pause()) != nil {
			return c.leave(work, cp, context.Cause(ctx))
		}
	}
}

// attempt runs a shard once, in a fetcher's place.
func (c *Coordinator) attempt(ctx, work context.Context, cp shard.Checkpoint, a *attempts) error {
	c.shards.waits(cp.Shard, forPlace)
	if !a.seated && c.places.Acquire(ctx, 1) != nil {
		return context.Cause(ctx)
	}
	a.seated = false
	defer c.places.Release(1)
	clock := c.fetchers.sit()
	defer c.fetchers.rise(clock)
	c.shards.waits(cp.Shard, forBegin)
	at, err := c.store.Begin(ctx, cp.ID)
	if err != nil {
		return c.notBegun(ctx, &cp, err)
	}
	if c.config.Sequential {
		if err := c.handOver(ctx, &at); err != nil {
			return err
		}
	}
	failpoint.Hit("shard.begun")
	log := c.config.Log.With("shard", at.Shard)
	log.Debug("attempt", "window", at.Window, "seq", at.Seq, "attempt", at.Attempts)
	meter, edge := c.shards.begin(&at, clock), shard.NewEdge(at.Window, c.config.Oldest)
	c.sharing.enter(at.ID, walk{edge, meter})
	defer c.sharing.leave(at.ID)
	attempt := shard.Attempt{
		Source: stopping{c.source, c.stop}, Sink: &counted{c, a}, From: at, Limits: c.config.Limits,
		Budget: c.budget, Edge: edge, Stats: meter, Log: log, Guard: guard,
	}
	if err = attempt.Run(ctx, work); err != nil {
		c.shards.set(at.Shard, shard.Pending)
		return err
	}
	failpoint.Hit("shard.done")
	c.shards.set(at.Shard, shard.Done)
	return nil
}

// notBegun looks at the ledger for why an attempt could not begin. Where that is away, nothing is known yet.
func (c *Coordinator) notBegun(ctx context.Context, cp *shard.Checkpoint, err error) error {
	if errors.Is(err, shard.ErrStale) && c.isDone(ctx, cp.ID) {
		c.shards.set(cp.Shard, shard.Done)
		return nil
	}
	forgotten, unknown := c.isForgotten(ctx, cp)
	switch {
	case forgotten:
		c.shards.drop(cp.Shard)
		return errForgotten
	case unknown != nil:
		return fmt.Errorf("begin an attempt: %w, and whether the shard is still there: %w", err, unknown)
	}
	return fmt.Errorf("begin an attempt: %w", err)
}

// isDone tells whether the ledger has the shard as done: its last commit may have landed although nobody heard of it.
func (c *Coordinator) isDone(ctx context.Context, id int64) bool {
	all, err := c.store.Load(ctx)
	return err == nil && slices.ContainsFunc(all, func(cp shard.Checkpoint) bool { return cp.ID == id && cp.State == shard.Done })
}

// handOver lets a window that was not begun start where its newer neighbour ended.
func (c *Coordinator) handOver(ctx context.Context, at *shard.Checkpoint) error {
	if at.Seq > 0 || at.Cursor != "" {
		return nil
	}
	all, err := c.store.Load(ctx)
	if err != nil {
		return fmt.Errorf("load the newer neighbour: %w", err)
	}
	for _, cp := range all {
		if cp.Window.Start == at.Window.End && cp.State == shard.Done {
			at.Cursor, at.CursorExpires = cp.Cursor, cp.CursorExpires
		}
	}
	return nil
}

// judge decides what a fault means: nil if the shard is to be run again.
func (c *Coordinator) judge(a *attempts, err error) error {
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
		return nil
	case errors.As(err, &transient):
		a.after = transient.After
		return nil
	}
	return err
}

// fail records why a shard failed, in its row too.
func (c *Coordinator) fail(ctx, work context.Context, cp shard.Checkpoint, err error) error {
	var left *unfinishedError
	if errors.As(err, &left) {
		return c.leave(work, cp, left.cause)
	}
	c.config.Log.Warn("shard failed, the others go on", "shard", cp.Shard, "window", cp.Window, "err", err)
	c.shards.set(cp.Shard, shard.Failed)
	if recordErr := c.store.Fail(work, cp.ID, shard.Failed, err.Error()); recordErr != nil {
		c.config.Log.Warn("the failure is not in the shard's row", "shard", cp.Shard, "err", recordErr)
	}
	return err
}

// leave notes in the row that the shard waits for the next run.
func (c *Coordinator) leave(work context.Context, cp shard.Checkpoint, cause error) error {
	if err := c.store.Fail(work, cp.ID, shard.Pending, cause.Error()); err != nil {
		c.config.Log.Debug("the stop is not in the shard's row", "shard", cp.Shard, "err", err)
	}
	failpoint.Hit("shard.left")
	return &unfinishedError{cause}
}

// counted is the store as one shard sees it, with an eye on its commits.
type counted struct {
	*Coordinator
	attempts *attempts
}

// Commit commits, forgives the shard's faults so far, holds the watchdog off, and stops the run when the budget of dead
// letters is used up. The pieces that it splits off are taken up, and idle fetchers ask for more.
func (c *counted) Commit(ctx context.Context, b shard.Batch) (counts shard.Counts, err error) {
	c.sharing.promise(len(b.Split))
	defer c.sharing.ask(c.config.Fetchers)
	defer c.sharing.promise(-len(b.Split))
	err = guard(func() (err error) {
		counts, err = c.store.Commit(ctx, b)
		return err
	})
	if err != nil {
		return counts, err
	}
	c.attempts.committed(b.Resume)
	c.watchdog.calm()
	c.shards.committed(b.From.Shard)
	c.keepBudget(c.count(counts))
	if len(b.Split) > 0 {
		c.adopt(ctx)
	}
	return counts, nil
}

// keepBudget stops the run when the job has more dead letters than are tolerated.
func (c *Coordinator) keepBudget(sum shard.Counts) {
	if tolerate := c.config.MaxDeadLetters; tolerate != nil && sum.DeadLetters > tolerate(sum.Received) {
		c.stop(fmt.Errorf("%w: %d of %d records", ErrTooManyDeadLetters, sum.DeadLetters, sum.Received))
	}
}

// count adds to what is committed, and returns the sum: both of its figures from the same moment, or a share would be judged
// by the dead letters of one commit and the records of another.
func (c *Coordinator) count(n shard.Counts) shard.Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = c.counts.Add(n)
	return c.counts
}
