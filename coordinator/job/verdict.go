package job

import (
	"context"
	"errors"
	"time"

	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Status is how a run ended, in one word.
type Status int

// The ways in which a run can end. The zero Status is none of them: that nothing was found out is no success.
const (
	Complete    Status = iota + 1 // everything is stored and checked, nothing is left to do
	Left                          // work was done, and more is left: the same call resumes
	Doubt                         // the check failed, or there are too many dead letters
	Locked                        // another run holds the job
	Refused                       // the source refused the key: no retry helps
	Unreachable                   // source or store could not be reached
	Misused                       // wrong configuration, or a store that its operator has to fix first
	Broken                        // a panic: a bug
)

func (s Status) String() string {
	return [...]string{"none", "complete", "left", "doubt", "locked", "refused", "unreachable", "misused", "broken"}[s]
}

// Verdict is how a run ended.
type Verdict struct {
	Status   Status
	Text     string   // one line for people
	Hint     string   // what to do about it; empty if Status and Err say all there is
	Findings []string // details of what is wrong
	Err      error    // why it is not complete, for errors.Is and errors.As; nil if it is
	Figures  *Figures // nil if the run ended before it was at work

	final   bool // no further round would help: a follow ends with it
	between bool // stopped before anything was begun
}

// Figures sum up a job at the end of a run. They come from the ledger, not from what the process remembers.
type Figures struct {
	Counts      shard.Counts       // of all rounds; unknown if Checkpoints is nil
	New         int64              // events stored by this run; the same
	Shards      int                // of the current round
	Done        int                // of them
	Checkpoints []shard.Checkpoint // of the current round; nil if the ledger could not be read
	Round       *ledger.Round      // the last one after the first load; nil if there is none
	Watermark   shard.Instant      // 0 if it is not known
	Fetchers    []shard.Spent      // how each fetcher spent its time, over all walks of this run
}

// Error is why a job could not be opened, or a run could not begin.
type Error struct {
	Status Status
	Hint   string // may be empty
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// misuse returns an Error with the status Misused.
func misuse(hint string, err error) error { return &Error{Status: Misused, Hint: hint, Err: err} }

// Errors that a Verdict's Err is or wraps, beside *shard.StopError, coordinator.ErrTooManyDeadLetters and ledger.ErrLocked.
var (
	// ErrCheck: table, ledger and source do not agree.
	ErrCheck = errors.New("the check failed")
	// ErrUnchecked: all shards are done, but the check could not be made.
	ErrUnchecked = errors.New("the check could not be made")
	// ErrTables: the tables were changed during the run, so that rows may be spoiled although their number is right.
	ErrTables = errors.New("the database was changed during the run")
	// ErrMissing: the source counted more events than the ledger accounts for.
	ErrMissing = errors.New("events are missing")
	// ErrLockLost: the session that held the job's lock is gone, and another run has it.
	ErrLockLost = errors.New("the job's lock was lost to another run")
	// ErrGone: the job's row was deleted during the run.
	ErrGone = errors.New("the job is gone from ingestion_jobs")
	// ErrUnfinished: there is no point in judging a job that is not finished.
	ErrUnfinished = errors.New("the job is not finished")
	// ErrNoJob: the store has no job of that name.
	ErrNoJob = errors.New("there is no such job")
)

// explained is an error whose text is the verdict's, and which is one of the above.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// unstarted is the verdict on a run that ended before it was at work.
func unstarted(ctx context.Context, err error) Verdict {
	e := Classify(ctx, err)
	return Verdict{Status: e.Status, Text: e.Error(), Hint: e.Hint, Err: e}
}

// Classify returns what an error before a run means. If nothing else is known, source or store could not be reached.
func Classify(ctx context.Context, err error) *Error {
	var known *Error
	var stop *shard.StopError
	var unfit *ledger.UnfitError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, ledger.ErrLocked):
		return &Error{Status: Locked, Err: err}
	case errors.As(err, &unfit):
		return &Error{Status: Misused, Err: err}
	case ctx.Err() != nil:
		return &Error{Status: Left, Err: err}
	case errors.As(err, &stop):
		return &Error{Status: stopStatus(stop), Hint: stop.Hint, Err: err}
	}
	return &Error{Status: Unreachable, Err: err}
}

func stopStatus(stop *shard.StopError) Status {
	if stop.Reason == shard.Refused {
		return Refused
	}
	return Left
}

// failed is the verdict on an error between the walks: what passes by itself is left for the same call, or for the next round.
func failed(ctx context.Context, err error) Verdict {
	var stop *shard.StopError
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrLockLost):
		return Verdict{Status: Locked, Text: cause.Error(), Err: cause, final: true}
	case cause != nil:
		return Verdict{Status: Left, Text: cause.Error(), Err: cause}
	case errors.As(err, &stop):
		status := stopStatus(stop)
		return Verdict{Status: status, Text: err.Error(), Hint: stop.Hint, Err: err, final: status == Refused}
	}
	return Verdict{Status: Unreachable, Text: err.Error(), Err: err, final: errors.As(err, new(*ledger.UnfitError))}
}

// conclude adds the figures to a verdict. It has its own time for that, whatever ended the run.
func (j *Job) conclude(ctx context.Context, v Verdict) Verdict {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if v.Status == Complete {
		v.Err = nil
	}
	v.Figures = &Figures{Shards: j.job.Shards, Watermark: j.job.Watermark, Round: j.round, Fetchers: j.spent}
	if err := j.sumUp(ctx, v.Figures); err != nil {
		j.config.Log.Warn("the summary is incomplete", "err", err)
	}
	return v
}

func (j *Job) sumUp(ctx context.Context, f *Figures) (err error) {
	earlier, err := j.store.Earlier(ctx, j.job.ID)
	if err != nil {
		return err
	}
	if f.Checkpoints, err = j.store.Load(ctx, j.job.ID); err != nil {
		return err
	}
	f.Counts = earlier
	for i := range f.Checkpoints {
		f.Counts = f.Counts.Add(f.Checkpoints[i].Counts)
		if f.Checkpoints[i].State == shard.Done {
			f.Done++
		}
	}
	f.Shards, f.New = len(f.Checkpoints), f.Counts.Events-j.before
	return nil
}

// Snapshot is a job at one moment, for those who show it while a run is at work.
type Snapshot struct {
	Job     *ledger.Job   // nil until it is planned or read
	Round   *ledger.Round // the one being worked on, or the last; nil in the first load
	Before  int64         // events stored by earlier runs of the job
	Earlier shard.Counts  // of the job's other rounds
	Doubt   string        // why the data are in doubt; empty if they are not
	// Oldest and Newest are the ends of the source's events as the survey of this run found them; 0 if it made none.
	Oldest, Newest shard.Instant
	Shards         coordinator.Snapshot // of the walk under way, or of the last one
}

// Snapshot returns where the job stands. It may be called by any goroutine at any time.
func (j *Job) Snapshot() Snapshot {
	j.mu.Lock()
	s := Snapshot{Before: j.before, Earlier: j.earlier, Oldest: j.survey.Oldest, Newest: j.survey.Newest}
	walk := j.walking
	if open := openDoubts(j.doubts); len(open) > 0 {
		s.Doubt = open[0].Reason
	}
	if j.job != nil {
		job := *j.job
		s.Job = &job
	}
	if j.round != nil {
		round := *j.round
		s.Round = &round
	}
	j.mu.Unlock()
	if walk != nil {
		s.Shards = walk.Progress()
	}
	return s
}

// note changes what Snapshot shows.
func (j *Job) note(change func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change()
}
