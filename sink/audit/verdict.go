// Package audit judges a job: given the figures of an audit, is everything that should be there in the table? It is pure, and
// reads neither the table nor the source.
//
// Three things are compared. Every window must be done, with a proof of its end, and hold at least the rows that its shard
// stored there. The table must hold what the ledger stored: exactly that, if nobody else writes to it. And a job over the whole
// source must account, in rows and dead letters, for every event that the source counted when the job began.
package audit

import (
	"fmt"
	"slices"
	"strings"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Verdict says whether the table holds what it should hold.
type Verdict struct {
	OK         bool
	Findings   []string // what is wrong, or missing
	NotApplied []string // which checks could not be made, and why
	Reopen     []int64  // rows of the shards to walk once more: their windows may lack events
	Short      bool     // rows are gone from the table, or shards from the ledger
	Foreign    int64    // rows that no job has stored
	Unmet      int64    // records next to a window that its neighbour should have stored
	Lost       int64    // events that were stored, are gone, and did not come again when their windows were walked once more
	Counted    bool     // the rows were compared with what the source counted at the start
	Missing    int64    // events that the source counted at the start and that nothing accounts for
	Excess     int64    // rows and dead letters beyond what the source counts now
	rows       int64
	checked    []string
}

// Summary is the verdict in one line.
func (v Verdict) Summary() string {
	switch {
	case v.OK:
		return fmt.Sprintf("%d rows: %s", v.rows, strings.Join(v.checked, ", "))
	case len(v.Findings) == 1:
		return v.Findings[0]
	}
	return fmt.Sprintf("%s, and %d more findings", v.Findings[0], len(v.Findings)-1)
}

// Judge compares an audit with itself, and with the number of events that the source counted at the start and at the end; 0
// means that it gave no number.
//
// The windows must tile the span, and every shard be done, with its proof. Each witness must be a row or a dead letter. Every window must hold at least the rows that its
// shard stored there, except that records out of order may lie in other windows. The table must hold what the ledger stored:
// exactly that, if nobody else wrote. And for a job over the whole source, all events that it counted at the start must be there
// as a row or a dead letter, and no more than it counted at the end.
func Judge(a ledger.Audit, totalAtStart, totalAtEnd int64) Verdict {
	v := Verdict{rows: a.Rows}
	v.judgeWindows(&a)
	v.judgeSum(&a)
	if v.judgeLost(&a); v.Lost > 0 {
		v.judgeEnds(&a)
	}
	v.judgeWitnesses(&a)
	if n := openLater(&a); n > 0 {
		v.skip("%d shards of the last round: they are not done", n)
	}
	switch {
	case slices.ContainsFunc(a.Windows, func(w ledger.AuditWindow) bool { return !proven(&w) }):
		v.skip("the source's total: not all shards are done")
	case a.Span != ledger.Everything:
		v.skip("the source's total: it counts all events, and the job has the span %s", a.Span)
	default:
		v.judgeTotals(&a, totalAtStart, totalAtEnd)
	}
	v.OK = len(v.Findings) == 0
	return v
}

func (v *Verdict) find(format string, args ...any) {
	v.Findings = append(v.Findings, fmt.Sprintf(format, args...))
}

func (v *Verdict) skip(format string, args ...any) {
	v.NotApplied = append(v.NotApplied, fmt.Sprintf(format, args...))
}

// judgeEnds opens shards that were told twice, inside their windows, that there is nothing older, although an older window's shard has read
// events: what seems to be lost may be below such an end. Each is opened once for that: a source that forgets its oldest events says the
// same again, rightly.
func (v *Verdict) judgeEnds(a *ledger.Audit) {
	for i := range a.Windows {
		w := &a.Windows[i]
		readOn := func(o ledger.AuditWindow) bool {
			return !o.Resume.IsZero() && o.Resume.At < w.Window.Start && w.Reopened <= o.Reopened
		}
		inside := w.State == shard.Done && w.Proof == shard.ProofConfirmed && !w.Resume.IsZero() && w.Resume.At >= w.Window.Start
		if inside && slices.ContainsFunc(a.Windows[:i], readOn) {
			v.open(w)
		}
	}
}

// judgeWitnesses looks at the records that a shard left to its neighbour: each must have been stored. If one was not, the neighbour has
// not read to its edge, or the shard has ended too early.
func (v *Verdict) judgeWitnesses(a *ledger.Audit) {
	if v.Unmet = int64(len(a.Unmet)); v.Unmet == 0 {
		return
	}
	v.find("%d records next to a window were left to its neighbour, which has not stored them; the first is %s at %s", len(a.Unmet),
		a.Unmet[0].Event.ID, a.Unmet[0].Event.At)
	for i := range a.Windows {
		w := &a.Windows[i]
		opened := slices.Contains(v.Reopen, w.ID)
		if w.State == shard.Done && !opened && slices.ContainsFunc(a.Unmet, func(u ledger.Unmet) bool { return u.Owner == w.ID || u.Keeper == w.ID }) {
			v.Reopen = append(v.Reopen, w.ID)
		}
	}
}

// judgeSum compares the table with the ledger as a whole: strays, which lie in some other window, are in it too.
func (v *Verdict) judgeSum(a *ledger.Audit) {
	stored := storedBy(a)
	alone := a.RowsBefore == 0 && a.ByOthers == 0
	switch {
	case a.Rows < a.RowsBefore+stored:
		v.Short = true
		v.find("%d rows were there before and %d were stored, but the table has %d", a.RowsBefore, stored, a.Rows)
		if len(v.Reopen) == 0 {
			v.openWhere(a, func(*ledger.AuditWindow) bool { return true })
		}
	case a.HasGaps():
		v.skip("equality of table and ledger: rows of ingestion_shards are gone")
	case alone && a.Rows > stored+a.Foreign:
		v.Foreign = a.Rows - stored - a.Foreign
		v.find("the table has %d rows, %d more than were stored: somebody else writes into it%s", a.Rows, v.Foreign, where(a))
	case alone:
		v.checked = append(v.checked, "the table matches the ledger")
	default:
		v.skip("equality of table and ledger: %d rows were there before, other jobs stored %d", a.RowsBefore, a.ByOthers)
	}
}

// storedBy returns how many events the job's shards count.
func storedBy(a *ledger.Audit) (n int64) {
	for i := range a.Windows {
		n += a.Windows[i].Counts.Events
	}
	for i := range a.Later {
		n += a.Later[i].Counts.Events
	}
	return n
}

// where says in which windows there are more rows than were stored.
func where(a *ledger.Audit) (text string) {
	const most = 3
	var in []string
	for _, p := range partsOf(a) {
		if more := -p.missing(); more > 0 {
			in = append(in, fmt.Sprintf("%d between %s and %s", more, p.windows[0].Window.Start, p.windows[len(p.windows)-1].Window.End))
		}
	}
	if len(in) == 0 || len(in) > most {
		return ""
	}
	return " (" + strings.Join(in, ", ") + ")"
}

func (v *Verdict) judgeTotals(a *ledger.Audit, atStart, atEnd int64) {
	foreign := min(a.Foreign, max(0, a.Rows-a.RowsBefore-a.ByOthers-storedBy(a))) // those that are gone since they were accepted count no more
	most := a.Rows - foreign + a.Lost + a.DeadNamed + a.DeadBlind + a.DeadDuplicates + a.DeadConflicts
	least := a.Rows - foreign + a.DeadNamed
	v.Counted = atStart > 0
	switch {
	case atStart <= 0:
		v.skip("the source's total at the start: it is not known")
	case most < atStart:
		v.Missing = atStart - most
		v.find("the source had %d events at the start; %d rows and %d dead letters account for %d: %d are missing",
			atStart, a.Rows, most-a.Rows, most, atStart-most)
		v.reopenSuspects(a)
	case a.RowsBefore > 0 || a.ByOthers > 0:
		v.skip("the source's total at the start, %d: the table has rows that are not this job's", atStart)
	default:
		dead := ""
		if n := most - a.Rows; n > 0 {
			dead = fmt.Sprintf(" and %d dead letters", n)
		}
		v.checked = append(v.checked, fmt.Sprintf("rows%s account for the %d events that the source counted", dead, atStart))
	}
	switch {
	case atEnd <= 0:
		v.skip("the source's total at the end: it is not known")
	case a.RowsBefore > 0 || a.ByOthers > 0:
		v.skip("the source's total at the end: the table has rows that are not this job's")
	case least > atEnd:
		v.Excess = least - atEnd
		v.find("the source has %d events at the end, but %d rows and %d dead letters without a row are there", atEnd, a.Rows, a.DeadNamed)
	}
}

// openLater returns how many shards of later rounds are not done.
func openLater(a *ledger.Audit) (n int) {
	for i := range a.Later {
		if a.Later[i].State != shard.Done {
			n++
		}
	}
	return n
}

// reopenSuspects names the windows that may lack events when no window's own count falls short: first those whose end rests on
// the source's word that there is no more, then all.
func (v *Verdict) reopenSuspects(a *ledger.Audit) {
	for _, suspect := range []func(w *ledger.AuditWindow) bool{
		func(w *ledger.AuditWindow) bool { return w.Proof == shard.ProofConfirmed },
		func(*ledger.AuditWindow) bool { return true },
	} {
		if len(v.Reopen) == 0 {
			v.openWhere(a, func(w *ledger.AuditWindow) bool { return w.State == shard.Done && suspect(w) })
		}
	}
}

func (v *Verdict) openWhere(a *ledger.Audit, suspect func(*ledger.AuditWindow) bool) {
	for i := range a.Windows {
		if w := &a.Windows[i]; suspect(w) {
			v.open(w)
		}
	}
}

func (v *Verdict) open(windows ...*ledger.AuditWindow) {
	for _, w := range windows {
		if !slices.Contains(v.Reopen, w.ID) {
			v.Reopen = append(v.Reopen, w.ID)
		}
	}
}
