package audit

import (
	"slices"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Recount says what the shards of a job count when some of its windows are opened again: what the table has. A part that is short
// of rows is opened as a whole, and so is the job if it is not known where rows are missing.
//
// Nothing is forgotten by that: a shard whose count falls keeps in Expected what it had, until the walk has stored as much again.
//
// Shards that the ledger has lost are filled in, with the rows of their windows, and walked.
func Recount(a *ledger.Audit, ids []int64) ledger.Reopening { return recountOf(a, ids, true) }

func recountOf(a *ledger.Audit, ids []int64, fill bool) ledger.Reopening {
	c := &recount{Audit: a, fill: fill, events: map[int64]int64{}, walk: map[int64]bool{}, expected: map[int64]*int64{}}
	for _, id := range ids {
		c.walk[id] = true
	}
	for _, p := range partsOf(a) {
		c.part(p)
	}
	if gone := a.RowsBefore + c.sum() - a.Rows; gone > 0 {
		c.anywhere(gone)
	}
	for _, g := range groupsOf(a) {
		c.expect(g)
	}
	c.expectGrowth()
	return c.result()
}

// Again opens shards of a later round, and leaves all counts as they are: round 1 stays closed while the job is verified.
func Again(a *ledger.Audit, ids []int64) ledger.Reopening {
	r := ledger.Reopening{RowsBefore: a.RowsBefore}
	for i := range a.Later {
		if c := &a.Later[i]; slices.Contains(ids, c.ID) {
			r.Shards = append(r.Shards, ledger.Reopened{ID: c.ID, Events: c.Counts.Events, Walk: true})
		}
	}
	return r
}

// Accept says what the shards of a job count if the table is right as it is, and how many events are gone for good by that. Nothing is
// known of the parts of a job whose shards the ledger has lost: they stay as they are.
func Accept(a *ledger.Audit) (r ledger.Reopening, lost int64) {
	r = recountOf(a, nil, false)
	r.Accepted = true
	now := map[int64]int64{}
	for i := range r.Shards {
		s := &r.Shards[i]
		s.Walk, s.Expected, now[s.ID] = false, nil, s.Events+s.Revived
	}
	c := recount{Audit: a}
	c.each(func(s *shard.Checkpoint) {
		if n, changed := now[s.ID]; changed {
			lost += s.Counts.Events - n
		}
	})
	for _, g := range groupsOf(a) {
		if !g.gap() {
			lost += max(0, g.lost())
		}
	}
	var gone int64
	for i := range a.Windows {
		gone += max(0, a.Windows[i].Verified-a.Windows[i].Rows)
	}
	return r, max(lost, gone)
}

// recount is a reopening on its way.
type recount struct {
	*ledger.Audit
	fill      bool            // gaps are filled; else their parts stay as they are
	events    map[int64]int64 // that are another number from now on, by shard
	walk      map[int64]bool
	expected  map[int64]*int64
	forgotten int64 // rows from before the job that are gone
}

func (c *recount) of(s *shard.Checkpoint) int64 {
	if n, changed := c.events[s.ID]; changed {
		return n
	}
	return s.Counts.Events
}

func (c *recount) each(do func(*shard.Checkpoint)) {
	for i := range c.Windows {
		do(&c.Windows[i].Checkpoint)
	}
	for i := range c.Later {
		do(&c.Later[i])
	}
}

func (c *recount) sum() (events int64) {
	c.each(func(s *shard.Checkpoint) { events += c.of(s) })
	return events
}

// part counts the rows of a part that is short of some as those of the windows in which they lie.
func (c *recount) part(p *part) {
	short, gap := p.missing() > 0, p.gap()
	if !short && !gap || gap && !c.fill {
		return
	}
	for _, w := range p.windows {
		c.events[w.ID] = w.Rows + strays(&w.Checkpoint)
		if short || w.ID < 0 || p.stored(w) > w.Rows || c.uncounted(p, w) {
			c.walk[w.ID] = true
		}
	}
	for _, l := range p.later {
		c.events[l.ID] = strays(l)
	}
}

// uncounted reports whether a finished round has lost a shard that reached into a window.
func (c *recount) uncounted(p *part, w *ledger.AuditWindow) bool {
	return slices.ContainsFunc(p.later, func(l *shard.Checkpoint) bool {
		gap := c.Gap(l.ID)
		return gap != nil && gap.Finished && gap.Start < w.Window.End && w.Window.Start < gap.End
	})
}

// anywhere takes rows that are missing from no window in particular out of the counts of those that may lie in any, and then out
// of the count of those from before the job.
func (c *recount) anywhere(gone int64) {
	for i := range c.Windows {
		c.walk[c.Windows[i].ID] = true
	}
	c.each(func(s *shard.Checkpoint) {
		n := min(gone, strays(s), c.of(s))
		c.events[s.ID], gone = c.of(s)-n, gone-n
	})
	c.forgotten = min(gone, c.RowsBefore)
}

// expect notes what the windows of a group had, if they count less from now on: in sum, because it is not known which of them has lost a
// row. What rounds have stored there may be the same events, which were gone and came again: they are owed once.
func (c *recount) expect(g group) {
	if g.gap() && !c.fill {
		return
	}
	var now, before, rounds, moved int64
	known := false
	for _, w := range g.windows {
		now, before = now+c.of(&w.Checkpoint), before+w.Counts.Events-c.Revived[w.ID]
		known = known || w.Expected != nil
	}
	for _, l := range g.later {
		rounds, moved = rounds+c.of(l), moved+l.Counts.Events-c.of(l)-c.Revived[l.ID]
	}
	owed := max(now, before+max(0, g.lost()))
	if now >= before+moved || owed == now && !known {
		return
	}
	for _, w := range g.windows {
		n := c.of(&w.Checkpoint)
		c.expected[w.ID] = &n
	}
	*c.expected[g.windows[0].ID] += owed - now + rounds
}

// expectGrowth notes what the other windows have, if some had more. The walk may store what these lack out of order, as theirs: then it
// counts as found. A window that is open to the future grows anyway.
func (c *recount) expectGrowth() {
	if len(c.expected) == 0 {
		return
	}
	for i := range c.Windows {
		w := &c.Windows[i]
		if c.expected[w.ID] == nil && w.Expected == nil && w.ID > 0 && w.Window.End != shard.Future {
			n := c.of(&w.Checkpoint)
			c.expected[w.ID] = &n
		}
	}
}

func (c *recount) result() ledger.Reopening {
	r := ledger.Reopening{RowsBefore: c.RowsBefore - c.forgotten}
	c.each(func(s *shard.Checkpoint) {
		if gap := c.Gap(s.ID); gap != nil {
			if c.fill {
				r.Filled = append(r.Filled, ledger.Filled{Gap: *gap, Events: c.of(s), Expected: c.expected[s.ID]})
			}
			return
		}
		if _, changed := c.events[s.ID]; changed || c.walk[s.ID] || c.Revived[s.ID] > 0 || c.expected[s.ID] != nil {
			r.Shards = append(r.Shards, ledger.Reopened{
				ID: s.ID, Events: c.of(s), Expected: c.expected[s.ID], Revived: c.Revived[s.ID], Walk: c.walk[s.ID],
			})
		}
	})
	return r
}

// group is a part or, if records came out of order and may lie anywhere, the whole job.
type group struct {
	part
	parents map[int64]*ledger.AuditWindow
}

func groupsOf(a *ledger.Audit) (all []group) {
	parents := make(map[int64]*ledger.AuditWindow, len(a.Windows))
	disorder := false
	for i := range a.Windows {
		parents[a.Windows[i].ID] = &a.Windows[i]
		disorder = disorder || a.Windows[i].Counts.OutOfOrder > 0
	}
	disorder = disorder || slices.ContainsFunc(a.Later, func(c shard.Checkpoint) bool { return c.Counts.OutOfOrder > 0 })
	for _, p := range partsOf(a) {
		if disorder && len(all) > 0 {
			all[0].windows, all[0].later = append(all[0].windows, p.windows...), append(all[0].later, p.later...)
			continue
		}
		all = append(all, group{*p, parents})
	}
	return all
}

// lost returns how many events the group had when it was opened again that neither its shards have stored again, nor rounds, nor, as far
// as the number of rows shows it, anybody else.
func (g *group) lost() (events int64) {
	more := -g.missing()
	for _, w := range g.windows {
		switch {
		case w.Expected != nil:
			events += *w.Expected - w.Counts.Events
		case g.isPiece(w):
			events -= w.Counts.Events
		}
		more -= strays(&w.Checkpoint)
	}
	for _, l := range g.later {
		events -= l.Counts.Events
		more -= strays(l)
	}
	return events - max(0, more)
}

// isPiece reports whether a window was split from one after that was opened again.
func (g *group) isPiece(w *ledger.AuditWindow) bool {
	for w.Parent != 0 {
		if w = g.parents[w.Parent]; w == nil {
			return false
		}
		if w.Expected != nil {
			return true
		}
	}
	return false
}

// judgeLost holds the windows that were opened again because rows were gone, and are walked since, against what they had.
func (v *Verdict) judgeLost(a *ledger.Audit) {
	var owed int64
	for _, g := range groupsOf(a) {
		if lost := g.lost(); lost > 0 && !slices.ContainsFunc(g.windows, func(w *ledger.AuditWindow) bool { return !proven(w) }) {
			owed += lost
		}
	}
	if v.Lost = max(v.Lost, owed); v.Lost > 0 {
		v.find("%d events that were stored are gone from the table, and the source does not show them any more", v.Lost)
	}
}
