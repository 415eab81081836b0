package sink

import (
	"fmt"
	"slices"
	"strings"

	"sluice/shard"
)

// Verdict says whether what is there is what should be there.
type Verdict struct {
	OK         bool
	Findings   []string    // what is wrong, or missing
	NotApplied []string    // which checks could not be made, and why
	Reopen     []Reopening // shards to walk once more: their windows may lack events
	rows       int64
	checked    []string
}

// Reopening is a shard to walk once more.
type Reopening struct {
	ID   int64 // of its row in ingestion_shards
	Gone int64 // rows that it stored and that are not there any more
}

// Summary is the verdict in one line.
func (v Verdict) Summary() string {
	switch {
	case v.OK:
		return strings.Join(append([]string{fmt.Sprintf("%d rows", v.rows)}, v.checked...), ", ")
	case len(v.Findings) == 1:
		return v.Findings[0]
	}
	return fmt.Sprintf("%s, and %d more findings", v.Findings[0], len(v.Findings)-1)
}

// Judge compares an audit with itself and with what the API counted at the start and at the end; 0: it told no number.
//
// The windows must tile the span, and every shard be done, with its proof. In every window must lie at least the rows that its shard stored there; out of
// order ones may lie elsewhere. In the table must be what the ledger stored: exactly that, where nobody else wrote. And of a
// job over the whole API, all that the API counted at the start must be there as row or dead letter, and no more than what it
// counted at the end.
func Judge(a Audit, totalAtStart, totalAtEnd int64) Verdict {
	v := Verdict{rows: a.Rows}
	v.judgeTiling(&a)
	v.judgeWindows(&a)
	v.judgeSum(&a)
	if a.LaterOpen > 0 {
		v.skip("%d windows of the last round: they are not done", a.LaterOpen)
	}
	switch {
	case !allProven(&a):
		v.skip("the source's total: not all shards are done")
	case a.Span != shard.Window{Start: shard.Past, End: shard.Future}:
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

func proven(w AuditWindow) bool { return w.State == shard.Done && w.Proof != "" }

func allProven(a *Audit) bool {
	return !slices.ContainsFunc(a.Windows, func(w AuditWindow) bool { return !proven(w) })
}

func (v *Verdict) judgeWindows(a *Audit) {
	for i := range a.Windows {
		w := &a.Windows[i]
		if !proven(*w) {
			v.find("shard %d %s is %s", w.Shard, w.Window, w.State)
		}
	}
	for _, f := range families(a) {
		v.judgeFamily(f)
	}
	if len(v.Findings) == 0 {
		v.checked = append(v.checked, fmt.Sprintf("all %d windows proven and complete", len(a.Windows)))
	}
}

// judgeSum compares the table with the ledger as a whole: strays, which are in some other window, are in it too.
func (v *Verdict) judgeSum(a *Audit) {
	stored := a.Later
	for i := range a.Windows {
		stored += a.Windows[i].Counts.Events
	}
	alone := a.RowsBefore == 0 && a.ByOthers == 0
	switch {
	case a.Rows < a.RowsBefore+stored:
		v.find("%d rows were there before and %d were stored, but the table has %d", a.RowsBefore, stored, a.Rows)
		v.reopenSuspects(a)
	case alone && a.Rows > stored:
		v.find("the table has %d rows, %d more than were stored: somebody else writes into it", a.Rows, a.Rows-stored)
	case alone:
		v.checked = append(v.checked, "the table is what the ledger stored")
	default:
		v.skip("equality of table and ledger: %d rows were there before, other jobs stored %d", a.RowsBefore, a.ByOthers)
	}
}

func (v *Verdict) judgeTotals(a *Audit, atStart, atEnd int64) {
	most := a.Rows + a.DeadNamed + a.DeadBlind + a.DeadDuplicates + a.DeadConflicts
	least := a.Rows + a.DeadNamed
	switch {
	case atStart <= 0:
		v.skip("the source's total at the start: it is not known")
	case most < atStart:
		v.find("the source had %d events at the start; %d rows and %d dead letters account for %d: %d are missing",
			atStart, a.Rows, most-a.Rows, most, atStart-most)
		v.reopenSuspects(a)
	case a.RowsBefore > 0 || a.ByOthers > 0:
		v.skip("the source's total at the start, %d: the table has rows that are not this job's", atStart)
	default:
		v.checked = append(v.checked, fmt.Sprintf("at least the %d that the source counted", atStart))
	}
	switch {
	case atEnd <= 0:
		v.skip("the source's total at the end: it is not known")
	case a.RowsBefore > 0 || a.ByOthers > 0:
		v.skip("the source's total at the end: the table has rows that are not this job's")
	case least > atEnd:
		v.find("the source has %d events at the end, but %d rows and %d dead letters without a row are there", atEnd, a.Rows, a.DeadNamed)
	}
}

// reopenSuspects names the windows in which missing events may be, where the counts of no window fall short: first those whose
// end rests on the API's word that there is no more, then all.
func (v *Verdict) reopenSuspects(a *Audit) {
	for _, suspect := range []func(w *AuditWindow) bool{
		func(w *AuditWindow) bool { return w.Proof == shard.ProofConfirmed },
		func(*AuditWindow) bool { return true },
	} {
		if len(v.Reopen) > 0 {
			return
		}
		for i := range a.Windows {
			if w := &a.Windows[i]; w.State == shard.Done && suspect(w) {
				v.Reopen = append(v.Reopen, Reopening{ID: w.ID})
			}
		}
	}
}
