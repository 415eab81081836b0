package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/semaphore"

	"sluice/shard"
)

// Store is a Sink that also keeps the ledger of checkpoints.
type Store interface {
	shard.Sink
	// Load returns the checkpoints of the job's current round.
	Load(ctx context.Context) ([]shard.Checkpoint, error)
	// Begin starts an attempt: the row is ours from here on, and older attempts of it are stale. It returns the row, or
	// shard.ErrStale for a shard that is done.
	Begin(ctx context.Context, id int64) (shard.Checkpoint, error)
	// Fail records how an attempt ended that did not finish its shard.
	Fail(ctx context.Context, id int64, state shard.State, message string) error
}

// Config says how a job is run. The zero value of a field means its default.
type Config struct {
	Fetchers    int           // attempts at a time; default min(shards, 16)
	Memory      int64         // bytes that pages may hold between request and commit; default 160 MiB
	Limits      shard.Limits  // of each shard
	GiveUpAfter time.Duration // without a committed page of any shard; default 15 min
	Drain       time.Duration // that the remaining commits share after a stop; default 8 s
	// Tolerate says how many dead letters a run may have once it has received so many records. Nil: any number.
	Tolerate func(received int64) int64
	// Sequential walks the windows one after another, newest first, each from where its newer neighbour ended: for an API
	// that cannot be asked by timestamp.
	Sequential bool
	Log        *slog.Logger
}

func (c Config) withDefaults(shards int) Config {
	c.Fetchers = cmp.Or(c.Fetchers, max(1, min(shards, 16)))
	c.Memory = cmp.Or(c.Memory, 160<<20)
	c.GiveUpAfter = cmp.Or(c.GiveUpAfter, 15*time.Minute)
	c.Drain = cmp.Or(c.Drain, 8*time.Second)
	c.Log = cmp.Or(c.Log, slog.Default())
	return c
}

// MinMemory is the smallest memory budget in bytes that a page surely fits.
const MinMemory = 16 << 20

func (c Config) validate() error {
	var faults []error
	if c.Fetchers < 1 || c.Fetchers > 1024 {
		faults = append(faults, fmt.Errorf("fetchers %d: there must be from 1 to 1024", c.Fetchers))
	}
	if c.Memory < MinMemory {
		faults = append(faults, fmt.Errorf("memory %d bytes: at least %d are needed", c.Memory, MinMemory))
	}
	if c.GiveUpAfter < 0 || c.Drain < 0 {
		faults = append(faults, errors.New("times must not be negative"))
	}
	return errors.Join(faults...)
}

// ErrGaveUp: no shard has committed anything for so long that the run stops and leaves the rest to the next.
var ErrGaveUp = errors.New("no page was committed for too long")

// ErrBudget: more records could not become rows than the operator tolerates.
var ErrBudget = errors.New("too many dead letters")

// Failure is a shard that a retry cannot mend.
type Failure struct {
	Shard  int
	Window shard.Window
	Err    error
}

// Outcome is how a run ended.
type Outcome struct {
	Done     int       // shards finished in this run
	Left     int       // shards that the same command resumes
	Failures []Failure // shards that failed
	Cause    error     // why the run stopped early; nil if it did not
}

// Coordinator runs the shards of one job.
type Coordinator struct {
	config Config
	source shard.Source
	store  Store

	budget   *shard.Budget
	places   *semaphore.Weighted
	stop     context.CancelCauseFunc
	watchdog *time.Timer
	progress *Progress

	received, deadLetters atomic.Int64 // committed, of all runs of the job

	mu      sync.Mutex
	outcome Outcome
}

// New returns a coordinator for the given checkpoints, or what is wrong with its settings.
func New(config Config, source shard.Source, store Store, checkpoints []shard.Checkpoint) (*Coordinator, error) {
	config = config.withDefaults(len(checkpoints))
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
		progress: newProgress(checkpoints),
	}, nil
}

// Run walks all unfinished shards. Cancelling ctx drains: what was fetched is committed within Config.Drain. The error is
// only for what kept the run itself from working; how the shards fared is in the Outcome.
func (c *Coordinator) Run(ctx context.Context) (Outcome, error) {
	checkpoints, err := c.store.Load(ctx)
	if err != nil {
		return Outcome{}, fmt.Errorf("load the checkpoints: %w", err)
	}
	ctx, c.stop = context.WithCancelCause(ctx)
	defer c.stop(nil)
	work, drop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer drop(nil)
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(c.config.Drain, func() { drop(fmt.Errorf("not committed within %s of the stop", c.config.Drain)) })
	})()
	c.watchdog = time.AfterFunc(c.config.GiveUpAfter, func() {
		c.stop(fmt.Errorf("%w: nothing for %s", ErrGaveUp, c.config.GiveUpAfter))
	})
	defer c.watchdog.Stop()
	for _, cp := range checkpoints {
		c.received.Add(cp.Counts.Received)
		c.deadLetters.Add(cp.Counts.DeadLetters)
	}
	c.runAll(ctx, work, checkpoints)
	if ctx.Err() != nil {
		c.outcome.Cause = context.Cause(ctx)
	}
	return c.outcome, nil
}

// runAll runs each unfinished shard in a goroutine of its own, or one after another. Goroutines that wait out a fault cost
// next to nothing; what is bounded are the fetchers' places.
func (c *Coordinator) runAll(ctx, work context.Context, checkpoints []shard.Checkpoint) {
	slices.SortFunc(checkpoints, shard.Compare)
	shards := pool.New().WithMaxGoroutines(max(1, len(checkpoints)))
	if c.config.Sequential {
		shards = pool.New().WithMaxGoroutines(1)
	}
	for _, cp := range checkpoints {
		if cp.State == shard.Done {
			continue
		}
		shards.Go(func() { c.note(cp, c.guarded(ctx, work, cp)) })
	}
	shards.Wait()
}

// PanicError is a panic inside a shard, with its stack.
type PanicError struct{ Recovered *panics.Recovered }

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Recovered.Value) }

// guarded keeps a panic from taking the other shards along.
func (c *Coordinator) guarded(ctx, work context.Context, cp shard.Checkpoint) (err error) {
	caught := panics.Try(func() { err = c.finish(ctx, work, cp) })
	if caught != nil {
		return &PanicError{caught}
	}
	return err
}

// note adds how a shard ended to the outcome.
func (c *Coordinator) note(cp shard.Checkpoint, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var left *unfinishedError
	switch {
	case err == nil:
		c.outcome.Done++
	case errors.As(err, &left):
		c.outcome.Left++
	default:
		c.outcome.Failures = append(c.outcome.Failures, Failure{Shard: cp.Shard, Window: cp.Window, Err: err})
	}
}
