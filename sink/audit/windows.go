package audit

import (
	"fmt"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// tiling returns how far windows, oldest first, tile a span without gap and overlap, and whether they do so to its end. A shard
// whose row is gone from the ledger falls short in no count; only the gap shows it.
func tiling[W any](span shard.Window, all []W, window func(*W) shard.Window) (edge shard.Instant, whole bool) {
	edge = span.Start
	for i := range all {
		w := window(&all[i])
		if w.Start != edge {
			return edge, false
		}
		edge = w.End
	}
	return edge, edge == span.End
}

// Tiled makes sure that the windows of a round, oldest first, tile its span.
func Tiled(span shard.Window, round []shard.Checkpoint) error {
	edge, whole := tiling(span, round, func(c *shard.Checkpoint) shard.Window { return c.Window })
	if !whole {
		return fmt.Errorf("the round has no shard for what comes after %s: rows of ingestion_shards are gone", edge)
	}
	return nil
}

// Complete reports whether all windows that reach into a day are walked to their proven end, and hold what they stored.
func Complete(a *ledger.Audit, d ledger.AuditDay) bool {
	start, end := shard.InstantOf(d.Day), shard.InstantOf(d.Day.AddDate(0, 0, 1))
	for _, g := range windowGroups(a) {
		missing := g.missing()
		for _, w := range g {
			if w.Window.Start < end && w.Window.End > start && (!proven(w) || missing > 0 && short(w) > 0) {
				return false
			}
		}
	}
	return true
}

func (v *Verdict) judgeWindows(a *ledger.Audit) {
	edge, whole := tiling(a.Span, a.Windows, func(w *ledger.AuditWindow) shard.Window { return w.Window })
	if !whole {
		v.find("the ledger has no shard for what comes after %s: rows of ingestion_shards are gone; another job walks the span anew", edge)
	}
	for i := range a.Windows {
		if w := &a.Windows[i]; !proven(w) {
			v.find("shard %d %s is %s", w.Shard, w.Window, w.State)
		}
	}
	for _, g := range windowGroups(a) {
		v.judgeGroup(g)
	}
	if len(v.Findings) == 0 {
		v.checked = append(v.checked, fmt.Sprintf("all %d shards complete with proven ends", len(a.Windows)))
	}
}

func proven(w *ledger.AuditWindow) bool { return w.State == shard.Done && w.Proof != "" }

// short returns how many rows are missing from the window, or less than 0 if more lie in it than must: strays may lie elsewhere.
func short(w *ledger.AuditWindow) int64 { return stored(w) - w.Rows }

// stored is how many rows must lie in the window.
func stored(w *ledger.AuditWindow) int64 { return w.Counts.Events - w.Counts.OutOfOrder + w.Later }

// windowGroup is a planned window: the shard that began it, and all that were split from it.
type windowGroup []*ledger.AuditWindow

// missing returns how many rows the group as a whole is short of.
func (g windowGroup) missing() (rows int64) {
	for _, w := range g {
		rows += short(w)
	}
	return rows
}

// windowGroups sorts the windows of an audit by the planned window that they come from.
func windowGroups(a *ledger.Audit) (all []windowGroup) {
	parents := map[int64]int64{}
	for i := range a.Windows {
		parents[a.Windows[i].ID] = a.Windows[i].Parent
	}
	index := map[int64]int{} // of a root's group in all
	for i := range a.Windows {
		root := a.Windows[i].ID
		for parents[root] != 0 {
			root = parents[root]
		}
		at, known := index[root]
		if !known {
			at = len(all)
			index[root], all = at, append(all, nil)
		}
		all[at] = append(all[at], &a.Windows[i])
	}
	return all
}

// judgeGroup compares rows and ledger of a planned window as a whole: a shard may have stored a record whose timestamp is wrong
// before it gave away the part of the window in which that timestamp lies. Only if rows are missing from the whole are those
// parts named that have too few, and no more rows are taken for gone than are missing.
func (v *Verdict) judgeGroup(g windowGroup) {
	missing := g.missing()
	if missing <= 0 {
		return
	}
	for _, w := range g {
		gap := short(w)
		if gap <= 0 {
			continue
		}
		v.find("shard %d %s stored %d events, but %d rows lie in it", w.Shard, w.Window, stored(w), w.Rows)
		if w.State == shard.Done {
			gone := max(0, min(gap, missing))
			v.Reopen = append(v.Reopen, ledger.Reopening{ID: w.ID, Gone: gone})
			missing -= gone
		}
	}
}
