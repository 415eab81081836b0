package memstore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Audit implements ledger.Store.
func (s *Store) Audit(ctx context.Context, jobID int64) (a ledger.Audit, err error) {
	err = s.do(ctx, "audit", 0, func(t *Tables) (err error) {
		a, err = t.audit(jobID)
		return err
	})
	return a, err
}

// AuditByDay implements ledger.Store.
func (s *Store) AuditByDay(ctx context.Context, jobID int64) (a ledger.Audit, err error) {
	err = s.do(ctx, "audit by day", 0, func(t *Tables) (err error) {
		if a, err = t.audit(jobID); err == nil {
			t.countDays(&a)
		}
		return err
	})
	return a, err
}

// deadAgain is how often dead letters without an id came again, at most: a window that is read once more meets those again that it has.
func (t *Tables) deadAgain(jobID int64) (n int64) {
	for _, sh := range t.Shards {
		if sh.JobID != jobID {
			continue
		}
		n += sh.DeadDuplicates
		for _, d := range t.DeadLetters {
			if d.ShardID == sh.ID && d.EventID == "" {
				n -= int64(sh.Reopened)
			}
		}
	}
	return max(0, n)
}

func (t *Tables) audit(jobID int64) (a ledger.Audit, err error) {
	j := t.jobOf(jobID)
	if j == nil {
		return a, errNoJob
	}
	a = ledger.Audit{
		Span: j.Span, RowsBefore: j.RowsBefore, Rows: int64(len(t.Events)),
		Foreign: accepted(j.doubts, ledger.AcceptForeign), Lost: accepted(j.doubts, ledger.AcceptLost),
	}
	for _, sh := range t.Round(jobID, 1) {
		a.Windows = append(a.Windows, ledger.AuditWindow{Checkpoint: sh.Checkpoint, Expected: sh.Expected, Verified: sh.Verified})
	}
	for _, sh := range t.Shards {
		switch {
		case sh.JobID != jobID:
			a.ByOthers += sh.Counts.Events
			continue
		case sh.Round > 1:
			a.Later = append(a.Later, sh.Checkpoint)
		}
	}
	a.DeadDuplicates = t.deadAgain(jobID)
	a.FillGaps(t.later(j))
	for _, e := range t.Events {
		if i := bucket(&a, e.At); i >= 0 {
			a.Windows[i].Rows++
		}
	}
	t.countDead(&a, jobID)
	a.Unmet = t.unmet(jobID, 1)
	return a, nil
}

// later returns the windows of a job's rounds after the first.
func (t *Tables) later(j *Job) (all []ledger.RoundWindows) {
	for _, r := range j.rounds {
		if r.Number == 1 {
			continue
		}
		all = append(all, ledger.RoundWindows{Round: r.Number, Finished: r.Finished(), Span: r.Span})
		for _, sh := range t.Round(j.ID, r.Number) {
			all[len(all)-1].Windows = append(all[len(all)-1].Windows, sh.Window)
		}
	}
	return all
}

// bucket returns the window in which an instant lies, or -1: each window reaches up to the start of the next, as for the server.
func bucket(a *ledger.Audit, at shard.Instant) int {
	i, found := slices.BinarySearchFunc(a.Windows, at, func(w ledger.AuditWindow, at shard.Instant) int { return cmp.Compare(w.Window.Start, at) })
	if !found {
		i--
	}
	if n := len(a.Windows); i < 0 || i == n-1 && at >= a.Windows[n-1].Window.End && a.Windows[n-1].Window.End != shard.Future {
		return -1
	}
	return i
}

func (t *Tables) countDead(a *ledger.Audit, jobID int64) {
	named := map[string]bool{}
	for _, d := range t.DeadLetters {
		if t.revived(d, jobID) {
			if a.Revived == nil {
				a.Revived = map[int64]int64{}
			}
			a.Revived[d.ShardID]++
		}
		if d.JobID != jobID || !d.ReplayedAt.IsZero() {
			continue
		}
		id, err := uuid.Parse(d.EventID)
		stored := err == nil && len(d.EventID) == 36 && t.Events[id] != nil
		switch {
		case d.EventID == "":
			a.DeadBlind++
		case !stored:
			named[strings.ToLower(d.EventID)] = true
		case d.Reason == "conflict":
			a.DeadConflicts++
		}
	}
	a.DeadNamed = int64(len(named))
}

// revived reports whether a dead letter of the job was stored by a replay, and its row is gone.
func (t *Tables) revived(d *DeadLetter, jobID int64) bool {
	return d.JobID == jobID && d.ReplayedAs != uuid.Nil && t.Events[d.ReplayedAs] == nil
}

func (t *Tables) countDays(a *ledger.Audit) {
	type part struct {
		day    time.Time
		window int
	}
	rows := map[part]int64{}
	for _, e := range t.Events {
		if e.At.Finite() {
			rows[part{e.At.Time().Truncate(24 * time.Hour), bucket(a, e.At)}]++
		}
	}
	parts := make([]part, 0, len(rows))
	for p := range rows {
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Or(a.day.Compare(b.day), cmp.Compare(a.window, b.window)) })
	for _, p := range parts {
		if n := len(a.Days); n == 0 || !a.Days[n-1].Day.Equal(p.day) {
			a.Days = append(a.Days, ledger.AuditDay{Day: p.day})
		}
		day := &a.Days[len(a.Days)-1]
		day.Rows += rows[p]
		if p.window >= 0 {
			day.Shards = append(day.Shards, ledger.DayOfShard{Shard: a.Windows[p.window].Shard, Rows: rows[p]})
		}
	}
}

// accepted returns how many of a kind an operator has accepted.
func accepted(all []ledger.Doubt, decision string) (n int64) {
	for i := range all {
		if all[i].LiftedBy == decision {
			n += all[i].Amount
		}
	}
	return n
}
