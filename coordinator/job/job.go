package job

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// The defaults of a Config.
const (
	DefaultShards    = 8
	DefaultLookback  = 10 * time.Minute
	DefaultSafetyLag = 30 * time.Second // the API's cache may show a page for 30 s
	DefaultEvery     = 30 * time.Second
)

// Config says what to ingest, and how. The zero value of a field means its default.
type Config struct {
	Name       string       // of the job, 1 to 63 bytes: one source and one span
	SourceName string       // what the ledger calls the source, such as its origin
	Span       shard.Window // of event time; default everything
	Store      ledger.Store
	// Connect opens the way to the source. It is called once, when the source is first needed: a job that is complete needs none.
	Connect func(context.Context) (Source, error)
	// Moved reports whether the job, whose ledger names another source, may be continued with this one: the same data at a new
	// address. Default: it may not.
	Moved func(from string) bool
	// Admit is called before a new job is written; an error keeps it from being written.
	Admit func(context.Context) error

	Shards      int           // windows that the span, or at most the gap of a round, is cut into; default 8
	Fetchers    int           // pages asked for at a time; default min(shards, 16)
	Memory      int64         // bytes that pages may hold together; default 160 MiB
	Limits      shard.Limits  // of each shard
	GiveUpAfter time.Duration // without a committed page; default 15 min
	Drain       time.Duration // for the remaining commits after a stop; default 8 s
	// MaxDeadLetters stop a run; default: 100, or one record in a hundred if that is more.
	MaxDeadLetters int64
	Lookback       time.Duration // how far before the watermark a round begins, to find late events; default 10 min, less than 0 means not at all
	IgnoreTotal    bool          // the source's total is no evidence
	SafetyLag      time.Duration // how far the watermark stays behind the source's clock at least; default 30 s, less than 0 means not at all
	Every          time.Duration // from the start of one round of a follow to the start of the next; default 30 s

	// Pause is where the operator holds a run up; source and store should have the same one. Nil means it is never paused.
	Pause *shard.Pause
	// Run identifies this run among those that share the source's quotas; default a random number.
	Run string
	// Seed makes the pauses between attempts repeatable; 0 means random.
	Seed uint64
	Log  *slog.Logger
	// Guard wraps the two goroutines that keep the lock and the quotas: an uncaught panic in one would end the process.
	Guard func(func()) func()
	Hooks Hooks
}

// Hooks tell a program what a run is about, so that it can show it. All may be nil. They are called by the goroutine of the run, and
// hold it up.
type Hooks struct {
	// Walk is called before the shards of a round are walked, and the function that it returns afterwards.
	Walk func(context.Context) (walked func())
	// Stepped is called after every round of a follow.
	Stepped func(context.Context)
	// Rest is called while a follow waits for its next round, at once and then every second, with the verdict on the last one.
	Rest func(after Verdict)
	// DescribePhase says what a shard in a phase waits for, for the log of a run that commits nothing. Default: the API, or the database.
	DescribePhase func(shard.Phase) string
}

// Source is where the events come from. Errors that pass by themselves are *shard.TransientError, and those that end the run
// *shard.StopError. It must be safe for concurrent use.
type Source interface {
	shard.Source
	// Survey looks for the span that the source's events fill, from oldest on if that is not shard.Past, with few requests.
	Survey(ctx context.Context, oldest shard.Instant) (shard.Survey, error)
	// Latest reads the newest page, past any cache.
	Latest(ctx context.Context) (shard.Latest, error)
	// AskTotal asks how many events there are; 0 if the source gives no number.
	AskTotal(ctx context.Context) (int64, error)
	// Total is how many events there are by the last answer; known is false if no answer gave a number.
	Total() (n int64, known bool)
	// ClockOffset is how far the source's clock is ahead of ours.
	ClockOffset() (ahead time.Duration, known bool)
	// Requests is how many pages were asked for so far.
	Requests() int64
	// PageBytes is how many bytes a full page has, decompressed, as far as the source knows; 0 if it does not.
	PageBytes() int64
	// Windows reports whether a window can be asked for by its end. If not, one fetcher walks all windows, newest first.
	Windows() bool
	// Learned returns, as JSON, what later runs of the job need not find out again; Recall takes it back.
	Learned() (json.RawMessage, error)
	Recall(json.RawMessage) error

	// Join begins to share the source's quotas with the other runs that use them, through the store: as run, of that source. A source
	// without quotas does nothing in all three.
	Join(ctx context.Context, store ledger.Quotas, source, run string) error
	// Share tells the other runs what was spent, and learns what they spent.
	Share(ctx context.Context) error
	// Leave does so for the last time, for the runs to come.
	Leave(ctx context.Context) error
}

func (c Config) withDefaults() Config {
	c.Span = cmp.Or(c.Span, ledger.Everything)
	c.Shards = cmp.Or(c.Shards, DefaultShards)
	c.Lookback = max(0, cmp.Or(c.Lookback, DefaultLookback))
	c.SafetyLag = max(0, cmp.Or(c.SafetyLag, DefaultSafetyLag))
	c.Every = cmp.Or(c.Every, DefaultEvery)
	c.Run = cmp.Or(c.Run, fmt.Sprintf("%016x", rand.Uint64()))
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Guard == nil {
		c.Guard = func(f func()) func() { return f }
	}
	if c.Moved == nil {
		c.Moved = func(string) bool { return false }
	}
	return c
}

// Bounds of a Config.
const (
	MaxName   = 63 // bytes
	MaxShards = 10_000
	MinEvery  = time.Second
)

// Faults returns what is wrong with the name and the numbers. Each message begins with the field's name, spelled like the flag of
// the command line. Unlike in Open, zero shards do not mean the default. Those of the walk are package coordinator's.
func (c *Config) Faults() (faults []error) {
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Name != "" && len(c.Name) <= MaxName, "job %q: must have from 1 to %d bytes", c.Name, MaxName)
	check(c.Shards >= 1 && c.Shards <= MaxShards, "shards %d: must be from 1 to %d", c.Shards, MaxShards)
	check(c.Every == 0 || c.Every >= MinEvery, "every %s: must be at least %s", c.Every, MinEvery)
	check(c.MaxDeadLetters >= 0, "max-dead-letters %d: must not be negative", c.MaxDeadLetters)
	return faults
}

func (c *Config) validate() error {
	faults := c.Faults()
	if c.Store == nil || c.Connect == nil {
		faults = append(faults, errors.New("a store, and a way to connect to the source, are needed"))
	}
	if c.Store != nil && c.Store.JobName() != c.Name {
		faults = append(faults, fmt.Errorf("the store is that of job %q, not of %q: it would take the wrong lock", c.Store.JobName(), c.Name))
	}
	if c.Span.Start >= c.Span.End {
		faults = append(faults, fmt.Errorf("span %s: must begin before it ends", c.Span))
	}
	return errors.Join(faults...)
}

// Job is a job that this run holds. One of its methods may run at a time, beside Snapshot.
type Job struct {
	config Config
	store  ledger.Store
	lock   ledger.Lock
	source Source // nil until it is connected

	resumed bool           // the round had been left unfinished
	noted   int64          // page requests that are some round's already
	recheck time.Time      // of a first load that is in doubt, by a follow
	pause   time.Duration  // before it
	doubts  []ledger.Doubt // as they were read or changed last

	mu      sync.Mutex               // for what follows: Snapshot may read it at any time
	job     *ledger.Job              // nil until it is planned or read
	round   *ledger.Round            // after the first, being worked on or the last
	before  int64                    // events that earlier runs of the job stored
	earlier shard.Counts             // of the job's other rounds
	survey  shard.Survey             // of this run
	walking *coordinator.Coordinator // of the walk under way, or of the last one
	spent   []shard.Spent            // by each fetcher, in all walks of this run
}

// Open takes a job for this run: no other run can hold it until Close. It brings the tables up to date, and refuses tables in
// which rows could be lost without an error, and a job of another source or span. The error is an *Error.
func Open(ctx context.Context, config Config) (*Job, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, misuse("", err)
	}
	j := &Job{config: config, store: config.Store}
	if err := j.open(ctx); err != nil {
		j.Close()
		return nil, Classify(ctx, err)
	}
	return j, nil
}

func (j *Job) open(ctx context.Context) (err error) {
	if j.lock, err = j.store.Lock(ctx); err != nil {
		j.lock = nil
		return err
	}
	if err := j.store.Migrate(ctx); err != nil {
		return err
	}
	findings, err := j.store.Examine(ctx)
	if err != nil {
		return err
	}
	if f, unfit := firstUnfit(findings); unfit {
		return misuse(f.Hint, fmt.Errorf("the database is not fit for a run: %s: %s", f.Name, f.Detail))
	}
	for _, f := range findings {
		j.config.Log.Warn("the database: "+f.Name, "found", f.Detail, "hint", f.Hint)
	}
	failpoint.Hit("migration.done")
	job, found, err := j.store.Job(ctx, j.config.Name)
	if err != nil || !found {
		return err
	}
	j.job = job
	return j.checkJob(ctx)
}

// SourceError: the job belongs to another source.
type SourceError struct{ Job, Source, Given string }

func (e *SourceError) Error() string {
	return fmt.Sprintf("job %q belongs to the source %s, not to %s", e.Job, e.Source, e.Given)
}

// SpanError: the job has another span.
type SpanError struct {
	Job         string
	Span, Given shard.Window
}

func (e *SpanError) Error() string {
	return fmt.Sprintf("job %q has the span %s, not %s", e.Job, e.Span, e.Given)
}

// checkJob compares a job that exists with the configuration.
func (j *Job) checkJob(ctx context.Context) error {
	if job := j.job; job.Source != j.config.SourceName {
		if !j.config.Moved(job.Source) {
			return misuse("", &SourceError{job.Name, job.Source, j.config.SourceName})
		}
		if err := j.store.SetSource(ctx, job.ID, j.config.SourceName); err != nil {
			return err
		}
		job.Source = j.config.SourceName
	}
	if j.job.Span != j.config.Span {
		return misuse("", &SpanError{j.job.Name, j.job.Span, j.config.Span})
	}
	return nil
}

// firstUnfit returns the first finding with which a run must not go on.
func firstUnfit(findings []ledger.Finding) (ledger.Finding, bool) {
	for _, f := range findings {
		if f.Unfit {
			return f, true
		}
	}
	return ledger.Finding{}, false
}

// Close gives the job back. Closing twice is harmless. It does not close the store, nor the source.
func (j *Job) Close() {
	if j.lock == nil {
		return
	}
	j.lock.Close(context.Background())
	j.lock = nil
	failpoint.Hit("lock.released")
}

// prepare connects to the source, and plans the job if it is new.
func (j *Job) prepare(ctx context.Context) error {
	if j.source != nil {
		return nil
	}
	if j.job == nil && j.config.Admit != nil {
		if err := j.config.Admit(ctx); err != nil {
			return err
		}
	}
	source, err := j.config.Connect(ctx)
	if err != nil {
		return err
	}
	if err := source.Join(ctx, j.store, j.config.SourceName, j.config.Run); err != nil {
		return err
	}
	j.source = source
	if j.job == nil {
		defer j.leaveQuotas(ctx) // also if it ends here: the next run must wait for as long as this one was asked to
		return j.create(ctx)
	}
	if err := source.Recall(j.job.Capabilities); err != nil {
		return fmt.Errorf("read the job's capabilities: %w", err)
	}
	return nil
}

// quotaEvery is how often runs share their quotas at least. A source shares them by itself when that is not enough.
const quotaEvery = time.Second

// keepQuotas shares the quotas until ctx ends, and once more then.
func (j *Job) keepQuotas(ctx context.Context) {
	tick := time.NewTicker(quotaEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			j.shared(j.source.Share(ctx))
		case <-ctx.Done():
			j.leaveQuotas(ctx)
			return
		}
	}
}

// shared notes the result of sharing quotas. A database that is away is no reason to stop: the commits will report it.
func (j *Job) shared(err error) {
	if err != nil {
		j.config.Log.Debug("quotas not shared", "err", err)
	}
	failpoint.Hit("quota.saved")
}

func (j *Job) leaveQuotas(ctx context.Context) {
	ctx, cancel := lastWrite(ctx)
	defer cancel()
	j.shared(j.source.Leave(ctx))
}

// lastWrite gives what is still to be written two seconds, whatever has ended.
func lastWrite(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
}

// keepLock returns a function that keeps a job's lock until ctx ends, and stops the run if another one has it.
func keepLock(ctx context.Context, lock ledger.Lock, stop context.CancelCauseFunc) func() {
	return func() {
		err := lock.Watch(ctx)
		if errors.Is(err, ledger.ErrLocked) {
			err = fmt.Errorf("%w: %w", ErrLockLost, err)
		}
		if err != nil {
			stop(err)
		}
	}
}

// attend works while the job's lock and the source's quotas are kept, and adds the figures to the verdict.
func (j *Job) attend(ctx context.Context, work func(context.Context) Verdict) Verdict {
	if err := j.countBefore(ctx); err != nil {
		return unstarted(ctx, err)
	}
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var beside sync.WaitGroup
	beside.Go(j.config.Guard(keepLock(working, j.lock, stop)))
	beside.Go(j.config.Guard(func() { j.keepQuotas(working) }))
	v := work(working)
	stop(nil)
	beside.Wait()
	return j.conclude(ctx, v)
}

// countBefore notes what the job has stored already.
func (j *Job) countBefore(ctx context.Context) error {
	checkpoints, err := j.store.Load(ctx, j.job.ID)
	if err != nil {
		return err
	}
	earlier, err := j.store.Earlier(ctx, j.job.ID)
	if err != nil {
		return err
	}
	before := earlier.Events
	for i := range checkpoints {
		before += checkpoints[i].Counts.Events
	}
	j.note(func() { j.earlier, j.before = earlier, before })
	return nil
}

// reload reads the job anew: its watermark, its round, and whether its first load is verified.
func (j *Job) reload(ctx context.Context) error {
	job, found, err := j.store.Job(ctx, j.job.Name)
	if err == nil && !found {
		err = ErrGone
	}
	if err != nil {
		return err
	}
	earlier, err := j.store.Earlier(ctx, job.ID)
	j.note(func() {
		j.job = job
		if err == nil {
			j.earlier = earlier
		}
	})
	return err
}

// focus makes a round the current one.
func (j *Job) focus(ctx context.Context, round int) error {
	if j.job.Round == round {
		return nil
	}
	if err := j.store.Focus(ctx, j.job.ID, round); err != nil {
		return err
	}
	return j.reload(ctx)
}
