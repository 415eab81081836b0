package memstore

import (
	"context"
	"fmt"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// insertRound writes a round and its windows.
func (t *Tables) insertRound(j *Job, r ledger.Round, windows []shard.Window) {
	r.RowsBefore = t.rowsByLedger()
	j.rounds = append(j.rounds, &r)
	for i, w := range windows {
		t.Shards = append(t.Shards, &Shard{JobID: j.ID, Round: r.Number, Checkpoint: shard.Checkpoint{
			ID: t.nextID(), Shard: i + 1, Window: w, State: shard.Pending,
		}})
	}
}

// LastRound implements ledger.Store.
func (s *Store) LastRound(ctx context.Context, jobID int64) (r *ledger.Round, err error) {
	err = s.do(ctx, "last round", 0, func(t *Tables) (err error) {
		r, err = t.lastRound(jobID)
		return err
	})
	return r, err
}

func (t *Tables) lastRound(jobID int64) (*ledger.Round, error) {
	j := t.jobOf(jobID)
	if j == nil || len(j.rounds) == 0 {
		return nil, fmt.Errorf("read the last round of job %d: %w", jobID, errNoJob)
	}
	r := *j.rounds[len(j.rounds)-1]
	for _, sh := range t.Shards {
		if sh.JobID == jobID && sh.Round == r.Number {
			r.Counts = r.Counts.Add(sh.Counts)
			r.Late = sum(r.Late, sh.Late)
		}
	}
	return &r, nil
}

// LastRound returns the number of a job's newest round; 0 if there is none.
func (t *Tables) LastRound(jobID int64) int {
	if j := t.jobOf(jobID); j != nil && len(j.rounds) > 0 {
		return j.rounds[len(j.rounds)-1].Number
	}
	return 0
}

func sum(a, b ledger.Late) ledger.Late {
	return ledger.Late{
		Minute: a.Minute + b.Minute, TenMinutes: a.TenMinutes + b.TenMinutes, Hour: a.Hour + b.Hour, Older: a.Older + b.Older,
		Most: max(a.Most, b.Most),
	}
}

// BeginRound implements ledger.Store.
func (s *Store) BeginRound(ctx context.Context, jobID int64, r ledger.Round, windows []shard.Window) (begun *ledger.Round, err error) {
	err = s.do(ctx, "begin round", 0, func(t *Tables) error {
		j := t.jobOf(jobID)
		if j == nil {
			return fmt.Errorf("begin a round of job %d: %w", jobID, errNoJob)
		}
		r.Number = j.rounds[len(j.rounds)-1].Number + 1
		r.StartedAt = s.db.Now()
		j.Round = r.Number
		t.insertRound(j, r, windows)
		begun, err = t.lastRound(jobID)
		return err
	})
	return begun, err
}

// FinishRound implements ledger.Store.
func (s *Store) FinishRound(ctx context.Context, jobID int64, r *ledger.Round, missing int64) error {
	return s.do(ctx, "finish round", 0, func(t *Tables) error {
		j := t.jobOf(jobID)
		if j == nil {
			return fmt.Errorf("finish round %d of job %d: %w", r.Number, jobID, ledger.ErrRoundOpen)
		}
		for _, sh := range t.Shards {
			if sh.JobID == jobID && sh.Round == r.Number && sh.State != shard.Done {
				return fmt.Errorf("finish round %d of job %d: %w", r.Number, jobID, ledger.ErrRoundOpen)
			}
		}
		for _, row := range j.rounds {
			if row.Number == r.Number {
				row.FinishedAt, row.Missing = s.db.Now(), missing
				if row.Candidate != 0 && (j.Watermark == 0 || row.Candidate > j.Watermark) {
					j.Watermark = row.Candidate
				}
				return nil
			}
		}
		return fmt.Errorf("finish round %d of job %d: %w", r.Number, jobID, ledger.ErrRoundOpen)
	})
}

// NoteRequests implements ledger.Store.
func (s *Store) NoteRequests(ctx context.Context, jobID int64, round int, requests int64) error {
	return s.do(ctx, "note requests", 0, func(t *Tables) error {
		if j := t.jobOf(jobID); j != nil {
			for _, r := range j.rounds {
				if r.Number == round {
					r.Requests += requests
				}
			}
		}
		return nil
	})
}

// Accounted implements ledger.Store.
func (s *Store) Accounted(ctx context.Context, jobID int64) (n int64, err error) {
	err = s.do(ctx, "accounted", 0, func(t *Tables) error {
		j := t.jobOf(jobID)
		if j == nil {
			return errNoJob
		}
		r := j.rounds[len(j.rounds)-1]
		n = t.rowsByLedger()
		since := n - r.RowsBefore // by others, since the round began
		var read int64
		for _, sh := range t.Shards {
			if sh.JobID == jobID && sh.Round == r.Number {
				since, read = since-sh.Counts.Events, read+sh.Counts.Duplicates
			}
		}
		n += accepted(j.doubts, ledger.AcceptLost) - max(0, since-read)
		for _, sh := range t.Shards {
			if sh.JobID == jobID {
				n += sh.Counts.DeadLetters
			}
		}
		n += t.deadAgain(jobID)
		return nil
	})
	return n, err
}

// rowsByLedger counts the rows from before the first job, and the events of all jobs.
func (t *Tables) rowsByLedger() (n int64) {
	if len(t.Jobs) > 0 {
		n = t.Jobs[0].RowsBefore
	}
	for _, sh := range t.Shards {
		n += sh.Counts.Events
	}
	return n
}

// Earlier implements ledger.Store.
func (s *Store) Earlier(ctx context.Context, jobID int64) (n shard.Counts, err error) {
	err = s.do(ctx, "earlier", 0, func(t *Tables) error {
		if j := t.jobOf(jobID); j != nil {
			for _, sh := range t.Shards {
				if sh.JobID == jobID && sh.Round != j.Round {
					n = n.Add(sh.Counts)
				}
			}
		}
		return nil
	})
	return n, err
}
