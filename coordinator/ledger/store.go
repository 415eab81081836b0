package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"sluice/shard"
)

// Store keeps one job: its rows, its ledger and its lock. Errors that pass by themselves are *shard.TransientError.
// An implementation must be safe for concurrent use.
type Store interface {
	// JobName is the job whose lock this store takes.
	JobName() string
	// Lock takes the job for this run and claims its unfinished shards: an older run that was only asleep can then neither
	// begin one nor commit to one. It may wait for some seconds; the error is ErrLocked if another run holds the job.
	Lock(ctx context.Context) (Lock, error)
	// Migrate brings the tables up to date. The error is an *UnfitError if only an operator can.
	Migrate(ctx context.Context) error
	// Examine looks for what would make a run lose or spoil rows without an error: before the first row is written, and before
	// a run reports that all is well.
	Examine(ctx context.Context) ([]Finding, error)

	// Job returns the job of that name; found is false if there is none.
	Job(ctx context.Context, name string) (job *Job, found bool, err error)
	// CreateJob writes a job and the windows of its first round, oldest first, in one transaction. ID, Shards and the times in
	// j need not be set.
	CreateJob(ctx context.Context, j Job, windows []shard.Window) (*Job, error)
	// SetSource gives the job another source: the same data at a new address.
	SetSource(ctx context.Context, jobID int64, source string) error
	// SetVerdict keeps the result of a check. VerifiedAt is set if verified, and cleared otherwise. A job that is verified for
	// the first time has finished round 1, and has its watermark.
	SetVerdict(ctx context.Context, jobID int64, verdict string, verified bool) error

	// Raise opens a doubt; one of its kind that is open gets the new reason, amount and detail. With LiftedBy it is lifted as well.
	Raise(ctx context.Context, jobID int64, d Doubt) error
	// Lift ends the open doubt of a kind, if there is one. By is ByEvidence or a decision.
	Lift(ctx context.Context, jobID int64, kind DoubtKind, by string) error
	// Doubts returns a job's doubts that are open or were lifted by a decision, the oldest first.
	Doubts(ctx context.Context, jobID int64) ([]Doubt, error)
	// TableState returns the table's identity and how often its rows were changed or deleted, as text that only equals itself;
	// and what KeepTableState has kept of the job: "" if nothing. It reads no row.
	TableState(ctx context.Context, jobID int64) (now, kept string, err error)
	// KeepTableState keeps a state that was read before the table was counted, and the rows of windows that were verified.
	KeepTableState(ctx context.Context, jobID int64, state string, verified []AuditWindow) error
	// Known returns which of some events the table has, whoever stored them, in any order.
	Known(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error)

	// Load returns the checkpoints of the job's current round, oldest window first.
	Load(ctx context.Context, jobID int64) ([]shard.Checkpoint, error)
	// Earlier returns the counts of all rounds of a job but the current one.
	Earlier(ctx context.Context, jobID int64) (shard.Counts, error)
	// Shards returns the shards of the job's current round. Events before lateBefore are counted as late; 0 means none are.
	Shards(jobID int64, lateBefore shard.Instant) Shards
	// Reopen makes shards suspect, so that their windows are walked once more. In one transaction it counts the rows of every
	// window, calls choose with the figures, and does what that says. The caller holds the job's lock.
	Reopen(ctx context.Context, jobID int64, choose func(Audit) Reopening) error

	// Unmet returns the witnesses of a round, inside the job's span, that are neither rows nor dead letters, each once.
	Unmet(ctx context.Context, jobID int64, round int) ([]Unmet, error)
	// Adopt stores those witnesses from what was kept of them, and counts them as received, stored and out of order, in one
	// transaction. It returns how many it stored: none that the table refuses.
	Adopt(ctx context.Context, jobID int64, round int) (stored int, err error)

	// LastRound returns the newest round of a job, with what its shards have counted so far.
	LastRound(ctx context.Context, jobID int64) (*Round, error)
	// BeginRound writes the job's next round and its windows, oldest first, and makes it the current one, in one transaction.
	BeginRound(ctx context.Context, jobID int64, r Round, windows []shard.Window) (*Round, error)
	// Focus makes a round the current one.
	Focus(ctx context.Context, jobID int64, round int) error
	// FinishRound closes a round whose windows are all done, and moves the watermark to its candidate: both or neither. The
	// watermark never goes back. The error is ErrRoundOpen if a window is not done.
	FinishRound(ctx context.Context, jobID int64, r *Round, missing int64) error
	// Accounted returns how many of the source's events the ledger accounts for, at most.
	Accounted(ctx context.Context, jobID int64) (int64, error)
	// NoteRequests adds to what a round has cost.
	NoteRequests(ctx context.Context, jobID int64, round int, requests int64) error

	// Audit counts the rows of every window in one snapshot with the ledger.
	Audit(ctx context.Context, jobID int64) (Audit, error)
	// AuditByDay is Audit with the rows counted by day, too. It takes longer.
	AuditByDay(ctx context.Context, jobID int64) (Audit, error)

	// DeadLetters returns a page of a job's dead letters, oldest first.
	DeadLetters(ctx context.Context, q DeadLetterQuery) ([]DeadLetter, error)
	// Replay stores the events of dead letters, marks those as replayed and corrects the ledger, in one transaction: all of it
	// happens once, however often it is asked for and whatever runs beside it. A dry one changes nothing.
	Replay(ctx context.Context, job *Job, retries []Retry, dry bool) ([]Fate, error)

	Quotas
}

// Quotas is where the runs that use the same source meet.
type Quotas interface {
	// SettleQuotas hands the rows of a source's endpoints to settle, in the same order, with the time by the store's clock, and
	// keeps what it returns. The rows are locked meanwhile; callers name the same endpoints in the same order. A row that does not
	// exist is handed over empty. settle does no I/O and is called at most once. After an error it is unknown whether it was kept.
	SettleQuotas(ctx context.Context, source string, endpoints []string, settle func(now time.Time, rows []Quota) []Quota) error
}

// Shards is one round of a job: a sink for its batches, and its checkpoints.
type Shards interface {
	shard.Sink
	// Load returns the checkpoints of the job's current round.
	Load(ctx context.Context) ([]shard.Checkpoint, error)
	// Begin starts an attempt: the row is ours from here on, and older attempts of it are stale. It returns the row, or
	// shard.ErrStale for a shard that is done.
	Begin(ctx context.Context, id int64) (shard.Checkpoint, error)
	// Fail records how an attempt ended that did not finish its shard.
	Fail(ctx context.Context, id int64, state shard.State, message string) error
}

// Lock keeps every other run away from a job.
type Lock interface {
	// Watch blocks while the lock is held, and takes it again after a lost connection. It returns ErrLocked if another run has
	// it, and nil when ctx has ended.
	Watch(ctx context.Context) error
	// Close gives the job back. Watch must have returned.
	Close(ctx context.Context)
}

// ErrLocked: another run holds the job. The error in hand is a *LockedError, which says who.
var ErrLocked = errors.New("another run holds the job")

// LockedError says which session holds a job, as far as the store shows it.
type LockedError struct {
	Job         string
	PID         int32 // of the server's process for that session; 0 if it is not known
	Application string
	Since       time.Time // start of the session
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("another run holds job %s", e.Job)
	}
	return fmt.Sprintf("another run holds job %s: %s, connected since %s (server process %d)", e.Job, e.Application, e.Since.Format(time.RFC3339), e.PID)
}

// Is makes every LockedError an ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// ErrRoundOpen: a window of the round is not done, so that the watermark must not move.
var ErrRoundOpen = errors.New("a window of the round is not done")

// UnfitError: the store can't keep a job until its operator has changed something.
type UnfitError struct {
	Err     error
	Changed bool // the tables were fit when the run began
}

func (e *UnfitError) Error() string { return e.Err.Error() }
func (e *UnfitError) Unwrap() error { return e.Err }

// Quota is what was learned of one endpoint's limit, and the requests of its last window: those of all runs, so that a rerun, a
// probe and parallel runs spend the same quota. Its times are by the store's clock.
type Quota struct {
	Endpoint  string
	Limit     int                 // requests in one window, as announced or learned; zero means it is not known yet
	Window    time.Duration       // to the millisecond
	NotBefore time.Time           // no request before; zero if none was refused
	Sent      []time.Time         // requests that the API may still count, ascending, to the microsecond
	Runs      map[string]QuotaRun // that spend of it now, by their ids
}

// QuotaRun is a run that spends of a quota, as it tells the others.
type QuotaRun struct {
	Seen    time.Time `json:"seen"`    // when it looked last
	Books   bool      `json:"books"`   // it writes every request down before it sends it: it knows that it is not alone
	Waiting bool      `json:"waiting"` // for a free slot
	Served  time.Time `json:"served"`  // when it had its last one
}
