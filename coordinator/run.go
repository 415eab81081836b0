package coordinator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sourcegraph/conc"
	"golang.org/x/sync/semaphore"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// ErrRanAlready: a Coordinator counts what its one run does, the next run takes a new one.
var ErrAlreadyRan = errors.New("this coordinator ran already")

// ErrGaveUp: no shard has committed anything for so long that the run stops and leaves the rest to the next.
var ErrGaveUp = errors.New("no page was committed for too long")

// ErrBudget: more records could not become rows than the operator tolerates.
var ErrTooManyDeadLetters = errors.New("too many dead letters")

// errForgotten ends a shard that the ledger has no more: its window is a part of another's again.
var errForgotten = errors.New("the ledger has forgotten the shard")

// Failure is a shard that a retry cannot mend.
type Failure struct {
	Shard  int
	Window shard.Window
	Err    error
}

// Outcome is how a run ended.
type Outcome struct {
	Done     int           // shards finished in this run
	Left     int           // shards that the same command resumes
	Failures []Failure     // shards that failed
	Cause    error         // why the run stopped early; nil if it did not
	Fetchers []shard.Spent // what each fetcher did, from the first moment of the run to its last
}

// Coordinator runs the shards of one job, once.
type Coordinator struct {
	config Config
	source shard.Source
	store  ledger.Shards

	budget   *shard.Budget
	places   *semaphore.Weighted
	fetchers *fetchers
	sharing  *sharing
	stop     context.CancelCauseFunc
	watchdog *watchdog
	shards   *progress
	ran      atomic.Bool
	seed     uint64 // of all pauses

	mu      sync.Mutex
	counts  shard.Counts // committed, by all runs of the job
	outcome Outcome
}

// New returns a coordinator for the given checkpoints, or what is wrong with its settings.
func New(config Config, source shard.Source, store ledger.Shards, checkpoints []shard.Checkpoint) (*Coordinator, error) {
	config = config.withDefaults(planned(checkpoints))
	if err := config.validate(); err != nil {
		return nil, err
	}
	if config.Sequential {
		config.Fetchers = 1
	}
	return &Coordinator{
		config: config, source: source, store: store,
		budget:   shard.NewBudget(config.Memory),
		places:   semaphore.NewWeighted(int64(config.Fetchers)),
		fetchers: newFetchers(config.Fetchers),
		sharing:  newSharing(),
		shards:   newProgress(checkpoints),
		seed:     rand.Uint64(),
	}, nil
}

// planned counts the windows that were not split from others.
func planned(checkpoints []shard.Checkpoint) (n int) {
	for i := range checkpoints {
		if checkpoints[i].Parent == 0 {
			n++
		}
	}
	return n
}

// Run walks all unfinished shards. Cancelling ctx drains: what was fetched is committed within Config.Drain. The error is
// only for what kept the run itself from working; how the shards fared is in the Outcome. A Coordinator runs once.
func (c *Coordinator) Run(ctx context.Context) (Outcome, error) {
	if c.ran.Swap(true) {
		return Outcome{}, ErrAlreadyRan
	}
	checkpoints, err := c.store.Load(ctx)
	if err != nil {
		return Outcome{}, fmt.Errorf("load the checkpoints: %w", err)
	}
	failpoint.Hit("shards.loaded")
	c.fetchers.start()
	ctx, c.stop = context.WithCancelCause(ctx)
	defer c.stop(nil)
	work, drop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer drop(nil)
	defer context.AfterFunc(ctx, func() { c.endDrain(work, drop) })()
	c.watchdog = c.watch(c.stop)
	defer c.watchdog.end()
	for _, cp := range checkpoints {
		c.count(cp.Counts)
	}
	c.keepBudget(c.counts) // a rerun asks for nothing before more are allowed, or fewer are left
	for c.runAll(ctx, work, checkpoints); ctx.Err() == nil; c.runAll(ctx, work, checkpoints) {
		if checkpoints = c.takenBack(ctx); len(checkpoints) == 0 {
			break
		}
	}
	if ctx.Err() != nil {
		c.outcome.Cause = context.Cause(ctx)
	}
	c.outcome.Fetchers = c.fetchers.spent()
	return c.outcome, nil
}

// takenBack returns the shards that are not done after all: those that were, where a database that failed over to a standby,
// which was behind, has forgotten commits that it had acknowledged, and pieces of split windows of which nobody heard. The ledger
// is the truth, not what this process remembers.
func (c *Coordinator) takenBack(ctx context.Context) []shard.Checkpoint {
	all, err := c.ledger(ctx)
	if err != nil {
		c.stop(fmt.Errorf("read the ledger after the last shard: %w", err)) // nobody knows then that nothing is left
		return nil
	}
	c.shards.arrange(all)
	left := slices.DeleteFunc(all, func(cp shard.Checkpoint) bool {
		failed := slices.ContainsFunc(c.outcome.Failures, func(f Failure) bool { return f.Shard == cp.Shard })
		return failed || cp.State == shard.Done
	})
	back := 0
	for i := range left {
		if c.sharing.knows(left[i].ID) {
			back++
		}
	}
	if back > 0 {
		c.config.Log.Warn("the ledger has shards as unfinished that were done: the database went back in time", "shards", back)
		c.outcome.Done = max(0, c.outcome.Done-back)
	}
	return left
}

// ledger reads all checkpoints, and waits for a database that is away until the watchdog loses its patience.
func (c *Coordinator) ledger(ctx context.Context) ([]shard.Checkpoint, error) {
	a := attempts{dice: rand.New(rand.NewPCG(c.seed, 0))}
	for {
		all, err := c.store.Load(ctx)
		var transient *shard.TransientError
		if err == nil || !errors.As(err, &transient) {
			return all, err
		}
		a.faults++
		if shard.Sleep(ctx, a.pause()) != nil {
			return nil, err
		}
	}
}

// endDrain drops what is not committed within Drain of the stop. Work ends with the run, and so does this.
func (c *Coordinator) endDrain(work context.Context, drop context.CancelCauseFunc) {
	if shard.Sleep(work, c.config.Drain) == nil {
		drop(fmt.Errorf("not committed within %s of the stop", c.config.Drain))
	}
}

// runAll runs each unfinished shard in a goroutine of its own, or one after another. Goroutines that wait out a fault cost
// next to nothing; what is bounded are the fetchers' places. They are taken one after another, because goroutines that race
// for them would not start newest first. Pieces of windows that are split meanwhile join them.
func (c *Coordinator) runAll(ctx, work context.Context, checkpoints []shard.Checkpoint) {
	slices.SortFunc(checkpoints, shard.NewestFirst)
	checkpoints = slices.DeleteFunc(checkpoints, func(cp shard.Checkpoint) bool { return cp.State == shard.Done })
	run := func(cp shard.Checkpoint, seated bool) {
		c.note(cp, guard(func() error { return c.finish(ctx, work, cp, seated) }))
	}
	if c.config.Sequential {
		c.sharing.begin(checkpoints, nil)
		for _, cp := range checkpoints {
			run(cp, false)
		}
		return
	}
	var shards conc.WaitGroup
	start := func(all []shard.Checkpoint) {
		for _, cp := range all {
			seated := c.places.Acquire(ctx, 1) == nil
			shards.Go(func() { run(cp, seated) })
		}
	}
	c.sharing.begin(checkpoints, func(pieces []shard.Checkpoint) { shards.Go(func() { start(pieces) }) })
	start(checkpoints)
	shards.Wait()
}

// note adds how a shard ended to the outcome.
func (c *Coordinator) note(cp shard.Checkpoint, err error) {
	c.sharing.finish()
	c.sharing.ask(c.config.Fetchers)
	c.mu.Lock()
	defer c.mu.Unlock()
	var left *unfinishedError
	switch {
	case err == nil:
		c.outcome.Done++
	case errors.As(err, &left):
		c.outcome.Left++
	case errors.Is(err, errForgotten):
	default:
		c.outcome.Failures = append(c.outcome.Failures, Failure{Shard: cp.Shard, Window: cp.Window, Err: err})
	}
}
