package memstore

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Unmet implements ledger.Store.
func (s *Store) Unmet(ctx context.Context, jobID int64, round int) (all []ledger.Unmet, err error) {
	err = s.do(ctx, "unmet", 0, func(t *Tables) error {
		all = t.unmet(jobID, round)
		return nil
	})
	return all, err
}

func (t *Tables) unmet(jobID int64, round int) (all []ledger.Unmet) {
	j, shards := t.jobOf(jobID), t.Round(jobID, round)
	for _, sh := range shards {
		for _, e := range slices.Concat(sh.Newer, sh.Older) {
			dead := func(d *DeadLetter) bool { return d.JobID == jobID && strings.ToLower(d.EventID) == e.ID.String() }
			if t.Events[e.ID] != nil || !j.Span.Contains(e.At) || slices.ContainsFunc(t.DeadLetters, dead) {
				continue
			}
			u := ledger.Unmet{Event: e, Keeper: sh.ID}
			if i := slices.IndexFunc(shards, func(o *Shard) bool { return o.Window.Contains(e.At) }); i >= 0 {
				u.Owner = shards[i].ID
			}
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b ledger.Unmet) int {
		return cmp.Or(bytes.Compare(a.Event.ID[:], b.Event.ID[:]), cmp.Compare(a.Keeper, b.Keeper))
	})
	return slices.CompactFunc(all, func(a, b ledger.Unmet) bool { return a.Event.ID == b.Event.ID })
}

// Adopt implements ledger.Store.
func (s *Store) Adopt(ctx context.Context, jobID int64, round int) (stored int, err error) {
	err = s.do(ctx, "adopt", 0, func(t *Tables) error {
		for _, u := range t.unmet(jobID, round) {
			if refuses(&u.Event) != "" {
				continue
			}
			sh := t.Shard(u.Counts())
			t.Events[u.Event.ID] = &Event{u.Event, sh.ID}
			sh.Counts = sh.Counts.Add(shard.Counts{Received: 1, Events: 1, OutOfOrder: 1})
			stored++
		}
		return nil
	})
	return stored, err
}
