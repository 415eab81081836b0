package memstore

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
)

// Raise implements ledger.Store.
func (s *Store) Raise(ctx context.Context, jobID int64, d ledger.Doubt) error {
	return s.setJob(ctx, "doubt", jobID, func(j *Job) {
		d.Since, d.LiftedAt = s.db.Now(), time.Time{}
		if d.LiftedBy != "" {
			d.LiftedAt = d.Since
		}
		d.Detail = json.RawMessage(cmp.Or(string(d.Detail), "{}"))
		for i := range j.doubts {
			switch old := &j.doubts[i]; {
			case old.Kind != d.Kind:
			case old.Open():
				d.Since = old.Since
				*old = d
				return
			case old.LiftedBy == ledger.ByEvidence:
				*old = d
				return
			}
		}
		j.doubts = append(j.doubts, d)
	})
}

// Lift implements ledger.Store.
func (s *Store) Lift(ctx context.Context, jobID int64, kind ledger.DoubtKind, by string) error {
	return s.setJob(ctx, "doubt", jobID, func(j *Job) {
		if d := ledger.OpenDoubt(j.doubts, kind); d != nil {
			d.LiftedAt, d.LiftedBy = s.db.Now(), by
		}
	})
}

// Doubts implements ledger.Store.
func (s *Store) Doubts(ctx context.Context, jobID int64) (all []ledger.Doubt, err error) {
	err = s.do(ctx, "doubts", 0, func(t *Tables) error {
		if j := t.jobOf(jobID); j != nil {
			all = slices.DeleteFunc(slices.Clone(j.doubts), func(d ledger.Doubt) bool { return d.LiftedBy == ledger.ByEvidence })
		}
		return nil
	})
	return all, err
}

// TableState implements ledger.Store.
func (s *Store) TableState(ctx context.Context, jobID int64) (now, kept string, err error) {
	err = s.do(ctx, "table state", 0, func(t *Tables) error {
		j := t.jobOf(jobID)
		if j == nil {
			return errNoJob
		}
		now, kept = strconv.Itoa(t.changes), j.state
		return nil
	})
	return now, kept, err
}

// KeepTableState implements ledger.Store.
func (s *Store) KeepTableState(ctx context.Context, jobID int64, state string, verified []ledger.AuditWindow) error {
	return s.do(ctx, "set table state", 0, func(t *Tables) error {
		j := t.jobOf(jobID)
		if j == nil {
			return errNoJob
		}
		j.state = state
		for i := range verified {
			if sh := t.Shard(verified[i].ID); sh != nil {
				sh.Verified = verified[i].Rows
			}
		}
		return nil
	})
}

// Known implements ledger.Store.
func (s *Store) Known(ctx context.Context, ids []uuid.UUID) (known []uuid.UUID, err error) {
	err = s.do(ctx, "known", 0, func(t *Tables) error {
		for _, id := range ids {
			if t.Events[id] != nil {
				known = append(known, id)
			}
		}
		return nil
	})
	return known, err
}
