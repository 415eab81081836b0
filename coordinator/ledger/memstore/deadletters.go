package memstore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"sluice/coordinator/ledger"
)

// listedRaw bytes of a record are shown in a list.
const listedRaw = 200

// DeadLetters implements ledger.Store.
func (s *Store) DeadLetters(ctx context.Context, q ledger.DeadLetterQuery) (page []ledger.DeadLetter, err error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	err = s.do(ctx, "dead letters", 0, func(t *Tables) error {
		for _, d := range t.DeadLetters {
			chosen := d.JobID == q.JobID && d.ID > q.AfterID && (q.Reason == "" || d.Reason == q.Reason) &&
				(q.IDs == nil || slices.Contains(q.IDs, d.ID)) && (q.Replayed || d.ReplayedAt.IsZero())
			if !chosen || len(page) == q.Limit {
				continue
			}
			row := d.DeadLetter
			if !q.Whole && len(row.Raw) > listedRaw {
				row.Raw = row.Raw[:listedRaw]
			}
			page = append(page, row)
		}
		return nil
	})
	return page, err
}

// Replay implements ledger.Store.
func (s *Store) Replay(ctx context.Context, job *ledger.Job, retries []ledger.Retry, dry bool) (fates []ledger.Fate, err error) {
	retries = slices.Clone(retries)
	slices.SortFunc(retries, func(a, b ledger.Retry) int {
		return cmp.Or(bytes.Compare(a.Event.ID[:], b.Event.ID[:]), cmp.Compare(a.ID, b.ID))
	})
	err = s.do(ctx, "replay", 0, func(t *Tables) error {
		if dry {
			rehearsal := t.Snapshot()
			t = &rehearsal
		}
		for i := range retries {
			fates = append(fates, s.replay(t, job, &retries[i]))
		}
		return nil
	})
	return fates, err
}

// replay finds the fate of one dead letter, and counts it as what it has become.
func (s *Store) replay(t *Tables, job *ledger.Job, r *ledger.Retry) ledger.Fate {
	fate := ledger.Fate{ID: r.ID, Outcome: ledger.Before}
	at := slices.IndexFunc(t.DeadLetters, func(d *DeadLetter) bool { return d.ID == r.ID && d.JobID == job.ID && d.ReplayedAt.IsZero() })
	if at < 0 {
		return fate
	}
	d, e := t.DeadLetters[at], r.Event
	sh, row := t.Shard(d.ShardID), t.Events[e.ID]
	switch {
	case !job.Span.Contains(e.At):
		fate.Outcome = ledger.Outside
		sh.Counts.OutOfWindow++
	case refuses(&e) != "":
		fate.Outcome, fate.Detail = ledger.Refused, refuses(&e)
	case row == nil:
		fate.Outcome = ledger.Stored
		t.Events[e.ID], d.ReplayedAs = &Event{e, sh.ID}, e.ID
		sh.Counts.Events++
		if !sh.Window.Contains(e.At) {
			sh.Counts.OutOfOrder++
		}
	case row.Event == e:
		fate.Outcome = ledger.Known
		sh.Counts.Duplicates++
	default:
		fate.Outcome, fate.Detail = ledger.Conflict, fmt.Sprintf("the id %s is stored with other content", e.ID)
	}
	if fate.Outcome.Settled() {
		sh.Counts.DeadLetters--
		d.ReplayedAt = s.db.Now()
	}
	return fate
}
