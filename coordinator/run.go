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

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/shard/failpoint"
)

var (
	// ErrAlreadyRan is returned by a second Run: a Coordinator counts what one run does, the next run needs a new one.
	ErrAlreadyRan = errors.New("this coordinator ran already")
	// ErrGaveUp is the cause of a run that stopped because no shard committed anything for Config.GiveUpAfter.
	ErrGaveUp = errors.New("no page was committed for too long")
	// ErrTooManyDeadLetters is the cause of a run that stopped because of Config.MaxDeadLetters.
	ErrTooManyDeadLetters = errors.New("too many dead letters")

	// errForgotten ends a shard that is not in the ledger any more.
	errForgotten = errors.New("the ledger has forgotten the shard")
)

// Failure is a shard that cannot be finished by running it again.
type Failure struct {
	Shard  int
	Window shard.Window
	Err    error
}

// Outcome is how a run ended.
type Outcome struct {
	Done     int           // shards finished by this run
	Left     int           // shards that another run can resume
	Failures []Failure     // shards that failed
	Cause    error         // why the run stopped early; nil if it did not
	Fetchers []shard.Spent // how each fetcher has spent the time of the run
}

// Coordinator runs the shards of one job, once.
type Coordinator struct {
	config Config
	source shard.Source
	store  ledger.Shards

	budget   *shard.Budget
	fetchers *pool
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

// New returns a coordinator for the given checkpoints, or every fault of its config, joined.
func New(config Config, source shard.Source, store ledger.Shards, checkpoints []shard.Checkpoint) (*Coordinator, error) {
	planned := 0
	for i := range checkpoints {
		if checkpoints[i].Parent == 0 {
			planned++
		}
	}
	config = config.withDefaults(planned)
	if err := errors.Join(config.Faults()...); err != nil {
		return nil, err
	}
	if config.Sequential {
		config.Fetchers = 1
	}
	return &Coordinator{
		config: config, source: source, store: store,
		budget:   shard.NewBudget(config.Memory, config.PageBytes),
		fetchers: newPool(config.Fetchers),
		sharing:  &sharing{known: map[int64]bool{}, walks: map[int64]walk{}},
		shards:   newProgress(checkpoints),
		seed:     config.Seed,
	}, nil
}

// Run walks all unfinished shards. Cancelling ctx drains: what was fetched is committed within Config.Drain. The error is nil
// unless the run could not start; the Outcome says how the shards fared. A Coordinator runs once.
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
	defer context.AfterFunc(ctx, func() {
		if shard.Sleep(work, c.config.Drain) == nil { // work ends with the run, and so does this
			drop(fmt.Errorf("not committed within %s of the stop", c.config.Drain))
		}
	})()
	c.watchdog = c.watch()
	defer c.watchdog.end()
	var before shard.Counts
	for _, cp := range checkpoints {
		before = before.Add(cp.Counts)
	}
	c.count(before) // a rerun makes no request while there are more dead letters than allowed
	for c.runAll(ctx, work, checkpoints); ctx.Err() == nil; c.runAll(ctx, work, checkpoints) {
		if checkpoints = c.unfinished(ctx); len(checkpoints) == 0 {
			break
		}
	}
	if ctx.Err() != nil {
		c.outcome.Cause = context.Cause(ctx)
	}
	c.outcome.Fetchers = c.fetchers.spent()
	return c.outcome, nil
}

// unfinished returns the shards that are not done although this run is through: shards that were done until the database failed
// over to a standby which was behind and lacked their commits, and pieces of split windows that were not started. The ledger is
// the truth, not the memory of this process.
func (c *Coordinator) unfinished(ctx context.Context) []shard.Checkpoint {
	all, err := c.loadPatiently(ctx)
	if err != nil {
		c.stop(fmt.Errorf("read the ledger after the last shard: %w", err)) // there may be shards left
		return nil
	}
	c.shards.arrange(all)
	left := slices.DeleteFunc(all, func(cp shard.Checkpoint) bool {
		failed := slices.ContainsFunc(c.outcome.Failures, func(f Failure) bool { return f.Shard == cp.Shard })
		return failed || cp.State == shard.Done
	})
	back := 0
	c.sharing.update(func(s *sharing) {
		for i := range left {
			if s.known[left[i].ID] {
				back++
			}
		}
	})
	if back > 0 {
		c.config.Log.Warn("shards that were done are unfinished in the ledger: the database went back in time", "shards", back)
		c.outcome.Done = max(0, c.outcome.Done-back)
	}
	return left
}

// loadPatiently loads all checkpoints. It waits for a database that is away until the watchdog ends the run.
func (c *Coordinator) loadPatiently(ctx context.Context) ([]shard.Checkpoint, error) {
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

// runAll runs each unfinished shard in a goroutine of its own, or one after another if the run is sequential. Goroutines that
// wait out a fault cost next to nothing; the pool of fetchers is what bounds the work. Fetchers are acquired before the
// goroutines start, because goroutines racing for them would not start newest first. Pieces of windows that are split meanwhile
// join in.
func (c *Coordinator) runAll(ctx, work context.Context, checkpoints []shard.Checkpoint) {
	slices.SortFunc(checkpoints, shard.NewestFirst)
	checkpoints = slices.DeleteFunc(checkpoints, func(cp shard.Checkpoint) bool { return cp.State == shard.Done })
	run := func(cp shard.Checkpoint, clock *shard.Clock) {
		err := guard(func() error { return c.finish(ctx, work, cp, clock) })
		c.ended(cp, err)
	}
	if c.config.Sequential {
		c.sharing.begin(checkpoints, nil)
		for _, cp := range checkpoints {
			run(cp, nil)
		}
		return
	}
	var shards conc.WaitGroup
	start := func(all []shard.Checkpoint) {
		for _, cp := range all {
			clock, _ := c.fetchers.acquire(ctx) // nil: the run stops, and the attempt will see that
			shards.Go(func() { run(cp, clock) })
		}
	}
	c.sharing.begin(checkpoints, func(pieces []shard.Checkpoint) { shards.Go(func() { start(pieces) }) })
	start(checkpoints)
	shards.Wait()
}

// ended adds to the outcome how a shard ended, and shares the work of others with its fetcher.
func (c *Coordinator) ended(cp shard.Checkpoint, err error) {
	c.sharing.update(func(s *sharing) { s.open-- }) // it needs no fetcher any more
	c.sharing.requestSplits(c.config.Fetchers)
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
