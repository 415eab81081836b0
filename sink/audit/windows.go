package audit

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Whole makes sure that the windows of a round cover its span. A shard whose row is gone from the ledger falls short in no count; only
// the gap shows it.
func Whole(number int, span shard.Window, round []shard.Checkpoint) error {
	r := ledger.RoundWindows{Round: number, Span: span}
	for i := range round {
		r.Windows = append(r.Windows, round[i].Window)
	}
	if gaps := r.Gaps(); len(gaps) > 0 {
		return errors.New(rowsGone(&gaps[0]))
	}
	return nil
}

func rowsGone(g *ledger.Gap) string {
	return fmt.Sprintf("round %d has no shard for %s: rows of ingestion_shards are gone", g.Round, g.Window)
}

// Complete reports whether all windows that reach into a day are walked to their proven end, and hold what they stored.
func Complete(a *ledger.Audit, d ledger.AuditDay) bool {
	start, end := shard.InstantOf(d.Day), shard.InstantOf(d.Day.AddDate(0, 0, 1))
	for _, p := range partsOf(a) {
		short := p.missing() > 0
		for _, w := range p.windows {
			if w.Window.Start < end && w.Window.End > start && (!proven(w) || short && p.stored(w) > w.Rows) {
				return false
			}
		}
	}
	return true
}

func (v *Verdict) judgeWindows(a *ledger.Audit) {
	for i := range a.Windows {
		if w := &a.Windows[i]; a.Gap(w.ID) != nil {
			v.judgeGap(a, w.ID)
		} else if !proven(w) {
			v.find("shard %d %s is %s", w.Shard, w.Window, w.State)
		}
	}
	for i := range a.Later {
		if id := a.Later[i].ID; a.Gap(id) != nil {
			v.judgeGap(a, id)
		}
	}
	for _, p := range partsOf(a) {
		v.judgePart(p)
	}
	for _, p := range partsOf(&ledger.Audit{Windows: a.Windows}) { // a round only adds rows
		v.judgeVerified(p)
	}
	if len(v.Findings) == 0 {
		v.checked = append(v.checked, fmt.Sprintf("all %d shards complete with proven ends", len(a.Windows)))
	}
}

// judgeGap reports a shard that the ledger has lost.
func (v *Verdict) judgeGap(a *ledger.Audit, id int64) {
	v.Short = true
	v.find("%s", rowsGone(a.Gap(id)))
	v.Reopen = append(v.Reopen, id)
}

func proven(w *ledger.AuditWindow) bool { return w.State == shard.Done && w.Proof != "" }

// part is what is judged, counted and opened as one: a planned window with all that was split from it, and its neighbours as far
// as a window of a later round lies across their edges. A shard may have stored rows before it gave away the part of its window in
// which they lie, and a round on either side of an edge; so the table shows only the sum.
type part struct {
	windows []*ledger.AuditWindow
	later   []*shard.Checkpoint
}

// strays returns how many of a shard's events may lie outside of its window: at most those that came out of order.
func strays(c *shard.Checkpoint) int64 { return min(c.Counts.Events, c.Counts.OutOfOrder) }

// sure returns how many of them must lie in it.
func sure(c *shard.Checkpoint) int64 { return c.Counts.Events - strays(c) }

// missing returns how many rows the part is short of; less than 0 if it has more than it must.
func (p *part) missing() (rows int64) {
	for _, w := range p.windows {
		rows += sure(&w.Checkpoint) - w.Rows
	}
	for _, c := range p.later {
		rows += sure(c)
	}
	return rows
}

// stored returns how many rows one of its windows must have, by itself.
func (p *part) stored(w *ledger.AuditWindow) int64 {
	rows := sure(&w.Checkpoint)
	for _, c := range p.later {
		if c.Window.Start >= w.Window.Start && c.Window.End <= w.Window.End {
			rows += sure(c)
		}
	}
	return rows
}

// judgePart compares the rows of a part with what its shards stored.
func (v *Verdict) judgePart(p *part) {
	missing := p.missing()
	if missing <= 0 {
		return
	}
	v.Short = true
	found := len(v.Findings)
	for _, w := range p.windows {
		if stored := p.stored(w); stored > w.Rows {
			v.find("shard %d %s stored %d events, but %d rows lie in it", w.Shard, w.Window, stored, w.Rows)
		}
	}
	if len(v.Findings) == found {
		first, last := p.windows[0], p.windows[len(p.windows)-1]
		v.find("%d rows are missing between %s and %s, where the rounds lie across the edges of shards", missing, first.Window.Start, last.Window.End)
	}
	v.open(p.windows...)
}

// judgeVerified compares the rows of a part with those that it had when the job was verified. Other jobs may have stored them. If its
// windows were walked again since rows were gone, the source does not show these any more.
func (v *Verdict) judgeVerified(p *part) {
	var gone int64
	for _, w := range p.windows {
		gone += w.Verified - w.Rows
	}
	if v.walkedAgain(p) {
		v.Lost += max(0, gone)
		return
	}
	if first, last := p.windows[0], p.windows[len(p.windows)-1]; gone > 0 && !slices.Contains(v.Reopen, first.ID) {
		v.Short = true
		v.find("%d rows are gone between %s and %s since the job was verified", gone, first.Window.Start, last.Window.End)
		v.open(p.windows...)
	}
}

// gap reports whether the ledger has lost a shard of the part.
func (p *part) gap() bool {
	return slices.ContainsFunc(p.windows, func(w *ledger.AuditWindow) bool { return w.ID < 0 }) ||
		slices.ContainsFunc(p.later, func(c *shard.Checkpoint) bool { return c.ID < 0 })
}

// walkedAgain reports whether the windows of a part were opened because rows were gone, and are walked since; so are the pieces that were
// split from them meanwhile.
func (v *Verdict) walkedAgain(p *part) bool {
	return !slices.ContainsFunc(p.windows, func(w *ledger.AuditWindow) bool {
		return w.Expected == nil && w.Parent == 0 || !proven(w) || slices.Contains(v.Reopen, w.ID)
	})
}

// partsOf divides an audit into its parts. A lost shard may have been split from either neighbour, or they from it.
func partsOf(a *ledger.Audit) (all []*part) {
	boss := make([]int, len(a.Windows)) // of each window: another one of its part, or itself
	find := func(i int) int {
		for boss[i] != i {
			i = boss[i]
		}
		return i
	}
	at := make(map[int64]int, len(a.Windows))
	for i := range a.Windows {
		boss[i], at[a.Windows[i].ID] = i, i
	}
	for i := range a.Windows {
		w := &a.Windows[i]
		if parent, known := at[w.Parent]; known {
			boss[find(i)] = find(parent)
		} else if w.Parent != 0 {
			at[w.Parent] = i // its other pieces join this one
		}
		if i > 0 && (w.ID < 0 || a.Windows[i-1].ID < 0) {
			boss[find(i)] = find(i - 1)
		}
	}
	home := make([]int, len(a.Later)) // of each window of a later round: one that it lies in, or across; -1 if there is none
	for n := range a.Later {
		first, last := overlap(a, a.Later[n].Window)
		home[n] = first
		for i := first + 1; i <= last; i++ {
			boss[find(i)] = find(first)
		}
		if first > last {
			home[n] = -1
		}
	}
	parts := map[int]*part{}
	for i := range a.Windows {
		p := parts[find(i)]
		if p == nil {
			p = &part{}
			parts[find(i)], all = p, append(all, p)
		}
		p.windows = append(p.windows, &a.Windows[i])
	}
	for n, i := range home {
		if i >= 0 {
			p := parts[find(i)]
			p.later = append(p.later, &a.Later[n])
		}
	}
	return all
}

// overlap returns the first and the last of the windows, which are in order, that reach into another one.
func overlap(a *ledger.Audit, in shard.Window) (first, last int) {
	first = sort.Search(len(a.Windows), func(i int) bool { return a.Windows[i].Window.End > in.Start })
	last = sort.Search(len(a.Windows), func(i int) bool { return a.Windows[i].Window.Start >= in.End }) - 1
	return first, last
}
