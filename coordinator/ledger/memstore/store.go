package memstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Statement is one transaction on its way to the database.
type Statement struct {
	Name  string // such as "commit"
	Shard int64  // row that it is about; 0 if it is about none
	// Land executes it although its process may be dead: the server had it already. Nil for statements other than a commit.
	Land func()
	// Unknown is set by Send if it fails and the COMMIT may have been sent all the same.
	Unknown bool
}

// Wire is the way from a process to the database. An error that passes by itself must be a *shard.TransientError.
type Wire interface {
	// Send is called before a statement, and may hold it up. With an error the statement never arrives.
	Send(context.Context, *Statement) error
	// Answer is called after it. With an error nobody learns what the statement did.
	Answer(*Statement) error
}

// Store is the database as one run of a job sees it.
type Store struct {
	db       *Database
	job, run string
	wire     Wire
}

var _ ledger.Store = (*Store)(nil)

// Open returns the store of one run of a job. A nil wire is perfect.
func (d *Database) Open(job, run string, wire Wire) *Store {
	return &Store{db: d, job: job, run: run, wire: wire}
}

// JobName implements ledger.Store.
func (s *Store) JobName() string { return s.job }

// do sends a statement, executes it while nothing else happens, and waits for the answer.
func (s *Store) do(ctx context.Context, name string, id int64, execute func(*Tables) error) error {
	st := &Statement{Name: name, Shard: id}
	if err := s.send(ctx, st); err != nil {
		return err
	}
	s.db.mu.Lock()
	err := execute(&s.db.tables)
	s.db.mu.Unlock()
	if err == nil && s.wire != nil {
		err = s.wire.Answer(st)
	}
	return err
}

func (s *Store) send(ctx context.Context, st *Statement) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.wire == nil {
		return nil
	}
	return s.wire.Send(ctx, st)
}

// errNoJob: the job's row is gone.
var errNoJob = errors.New("no rows in result set")

// Migrate has nothing to do.
func (s *Store) Migrate(ctx context.Context) error {
	return s.do(ctx, "migrate", 0, func(*Tables) error { return nil })
}

// Examine returns what a test has put into the tables as findings.
func (s *Store) Examine(ctx context.Context) (found []ledger.Finding, err error) {
	err = s.do(ctx, "examine", 0, func(t *Tables) error { found = slices.Clone(t.Findings); return nil })
	return found, err
}

// Job implements ledger.Store.
func (s *Store) Job(ctx context.Context, name string) (job *ledger.Job, found bool, err error) {
	err = s.do(ctx, "job", 0, func(t *Tables) error {
		if j := t.Job(name); j != nil {
			job, found = j.read(), true
		}
		return nil
	})
	return job, found && err == nil, err
}

// read returns the job as the ledger tells it: the source's total is that of the newest finished round.
func (j *Job) read() *ledger.Job {
	read := j.Job
	for _, r := range slices.Backward(j.rounds) {
		if r.Finished() {
			if r.APITotal != 0 {
				read.APITotal = r.APITotal
			}
			break
		}
	}
	return &read
}

// CreateJob implements ledger.Store.
func (s *Store) CreateJob(ctx context.Context, j ledger.Job, windows []shard.Window) (job *ledger.Job, err error) {
	err = s.do(ctx, "create job", 0, func(t *Tables) error {
		if t.Job(j.Name) != nil {
			return fmt.Errorf("create job %s: there is one of that name", j.Name)
		}
		row := &Job{Job: j}
		row.ID, row.Shards, row.Round, row.RowsBefore, row.CreatedAt = t.nextID(), len(windows), 1, int64(len(t.Events)), s.db.Now()
		if len(row.Capabilities) == 0 {
			row.Capabilities = json.RawMessage("{}")
		}
		row.Candidate, row.Newest = 0, 0
		t.Jobs = append(t.Jobs, row)
		t.insertRound(row, ledger.Round{
			Number: 1, Span: j.Span, Candidate: j.Candidate, Newest: j.Newest, APITotal: j.APITotal, StartedAt: s.db.Now(),
		}, windows)
		job = row.read()
		return nil
	})
	return job, err
}

// setJob changes the row of a job.
func (s *Store) setJob(ctx context.Context, what string, jobID int64, set func(*Job)) error {
	return s.do(ctx, "set "+what, 0, func(t *Tables) error {
		j := t.jobOf(jobID)
		if j == nil {
			return fmt.Errorf("set the %s of job %d: %w", what, jobID, errNoJob)
		}
		set(j)
		return nil
	})
}

// SetSource implements ledger.Store.
func (s *Store) SetSource(ctx context.Context, jobID int64, source string) error {
	return s.setJob(ctx, "source", jobID, func(j *Job) { j.Source = source })
}

// SetVerdict implements ledger.Store.
func (s *Store) SetVerdict(ctx context.Context, jobID int64, verdict string, verified bool) error {
	return s.setJob(ctx, "verdict", jobID, func(j *Job) {
		j.Verdict = verdict
		if !verified {
			j.VerifiedAt = time.Time{}
			return
		}
		j.VerifiedAt = s.db.Now()
		if len(j.rounds) == 0 || j.rounds[0].Number != 1 {
			return
		}
		first := j.rounds[0]
		if !first.Finished() {
			first.FinishedAt = s.db.Now()
		}
		if j.Watermark == 0 {
			j.Watermark = first.Candidate
		}
	})
}

// Focus implements ledger.Store.
func (s *Store) Focus(ctx context.Context, jobID int64, round int) error {
	return s.setJob(ctx, "round", jobID, func(j *Job) { j.Round = round })
}
