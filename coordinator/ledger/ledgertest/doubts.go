package ledgertest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
)

// doubts returns the job's doubts in one line: kind, amount, detail and how each was lifted.
func (r *run) doubts() (text string) {
	r.t.Helper()
	all, err := r.Doubts(r.t.Context(), r.job.ID)
	r.must(err)
	for _, d := range all {
		if d.Since.IsZero() || d.Open() != (d.LiftedBy == "") || d.Reason == "" {
			r.t.Errorf("doubt %+v", d)
		}
		text += fmt.Sprintf("%s %d %s %s;", d.Kind, d.Amount, d.Detail, d.LiftedBy)
	}
	return text
}

// A doubt stays until it is lifted. There is one open one of a kind, what evidence has lifted is not shown, and decisions are.
func testDoubts(t *testing.T, r *run) {
	r.create()
	raise := func(kind ledger.DoubtKind, amount int64, detail string) {
		t.Helper()
		r.must(r.Raise(t.Context(), r.job.ID, ledger.Doubt{Kind: kind, Reason: "why", Amount: amount, Detail: []byte(detail)}))
	}
	lift := func(kind ledger.DoubtKind, by string) {
		t.Helper()
		r.must(r.Lift(t.Context(), r.job.ID, kind, by))
	}
	equal(t, "none", r.doubts(), "")
	lift(ledger.DoubtMissing, ledger.ByEvidence)
	raise(ledger.DoubtMissing, 7, "")
	raise(ledger.DoubtTable, 3, `{"a": 1}`)
	raise(ledger.DoubtMissing, 8, "")
	equal(t, "open", r.doubts(), `missing 8 {} ;table 3 {"a": 1} ;`)
	lift(ledger.DoubtMissing, ledger.ByEvidence)
	lift(ledger.DoubtTable, "--accept-lost")
	equal(t, "lifted", r.doubts(), `table 3 {"a": 1} --accept-lost;`)
	raise(ledger.DoubtTable, 5, "")
	raise(ledger.DoubtMissing, 1, "")
	if all, err := r.Doubts(t.Context(), r.job.ID); err != nil || ledger.OpenDoubt(all, ledger.DoubtTable).Amount != 5 || ledger.OpenDoubt(all, ledger.DoubtSource) != nil {
		t.Errorf("%v, error %v", all, err)
	}
	lift(ledger.DoubtTable, "--accept-lost")
	equal(t, "two decisions", r.doubts(), `missing 1 {} ;table 3 {"a": 1} --accept-lost;table 5 {} --accept-lost;`)
	r.must(r.Raise(t.Context(), r.job.ID, ledger.Doubt{Kind: ledger.DoubtMissing, Reason: "why", Amount: 2, LiftedBy: "contradicted"}))
	r.must(r.Raise(t.Context(), r.job.ID, ledger.Doubt{Kind: ledger.DoubtTotal, Reason: "why", LiftedBy: "contradicted"}))
	equal(t, "decided at once", r.doubts(), `missing 2 {} contradicted;table 3 {"a": 1} --accept-lost;table 5 {} --accept-lost;total 0 {} contradicted;`)
}

// The state of the table is the same until rows are changed or deleted, or it is another table.
func testTableState(t *testing.T, r *run) {
	r.create()
	r.finish(2, events(0, 10))
	first, kept, err := r.TableState(t.Context(), r.job.ID)
	r.must(err)
	equal(t, "kept", kept, "")
	r.must(r.KeepTableState(t.Context(), r.job.ID, first, r.audit().Windows))
	r.finish(1, events(-5, 5))
	now, kept, err := r.TableState(t.Context(), r.job.ID)
	r.must(err)
	equal(t, "kept", kept, first)
	equal(t, "after rows were added", now, first)
	r.database.Delete(t, events(2, 3)...)
	for began := time.Now(); now == first; { // a server's counters lag behind
		if now, _, err = r.TableState(t.Context(), r.job.ID); err != nil || time.Since(began) > time.Minute {
			t.Fatalf("state %s after rows were deleted, error %v", now, err)
		}
	}
}

func testKnown(t *testing.T, r *run) {
	r.create()
	r.finish(2, events(0, 3))
	known, err := r.Known(t.Context(), []uuid.UUID{event(1).ID, event(2).ID, event(3).ID})
	r.must(err)
	equal(t, "known", len(known), 2)
	equal(t, "a new one is known", slices.Contains(known, event(3).ID), false)
}
