package audit

import (
	"slices"
	"testing"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Rows were deleted, and a round has stored most of them again, before the windows are counted anew or after it. Those are not lost.
func TestWhatARoundStoresAgainIsNotLost(t *testing.T) {
	shardOf := func(id, events int64) shard.Checkpoint {
		return shard.Checkpoint{ID: id, Shard: int(id), Window: ledger.Everything, State: shard.Done, Proof: shard.ProofOlder,
			Counts: shard.Counts{Received: events, Events: events}}
	}
	for _, before := range []bool{true, false} {
		a := ledger.Audit{Span: ledger.Everything, Windows: []ledger.AuditWindow{{Checkpoint: shardOf(1, 405), Rows: 280}}, Rows: 280}
		again := func() {
			a.Later = []shard.Checkpoint{shardOf(2, 122)}
			a.Rows += 122
			a.Windows[0].Rows += 122
		}
		if before {
			again()
		}
		for _, s := range Recount(&a, nil).Shards {
			if s.ID == 1 {
				a.Windows[0].Counts.Events, a.Windows[0].Expected = s.Events, s.Expected
			} else {
				a.Later[0].Counts.Events = s.Events
			}
		}
		if !before {
			again()
		}
		if v := Judge(a, 0, 0); v.Lost != 3 || v.Foreign != 0 || v.Short {
			t.Errorf("before %v: %d of 3 are lost: %+v", before, v.Lost, v)
		}
		a.Windows[0].Counts.Events, a.Windows[0].Rows, a.Rows = a.Windows[0].Counts.Events+3, a.Windows[0].Rows+3, a.Rows+3
		if v := Judge(a, 0, 0); !v.OK {
			t.Errorf("before %v: all are back: %+v", before, v)
		}
	}
}

// A row is gone from the newer window, and records out of order may lie in any: what was there is owed by all, also by those that are not
// walked.
func TestDisorderOwesAllTheSame(t *testing.T) {
	window := func(id int64, start, end shard.Instant, rows int64) ledger.AuditWindow {
		return ledger.AuditWindow{Rows: rows, Checkpoint: shard.Checkpoint{ID: id, Shard: int(id), Window: shard.Window{Start: start, End: end}, State: shard.Done,
			Proof: shard.ProofOlder, Counts: shard.Counts{Received: 10, Events: 10}}}
	}
	a := ledger.Audit{Span: shard.Window{Start: 0, End: 20}, Windows: []ledger.AuditWindow{window(1, 0, 10, 10), window(2, 10, 20, 8)}, Rows: 18}
	a.Windows[0].Counts.OutOfOrder = 1
	for _, s := range Recount(&a, nil).Shards {
		w := &a.Windows[s.ID-1]
		w.Counts.Events, w.Expected = s.Events, s.Expected
	}
	if v := Judge(a, 0, 0); v.Lost != 2 {
		t.Errorf("lost %d, want 2: %+v", v.Lost, v)
	}
}

// Rows were deleted, and the source had forgotten them when their window was walked again: they are lost, and no repair helps.
func TestWhatTheSourceHasForgottenIsLost(t *testing.T) {
	a := ledger.Audit{Span: ledger.Everything, Rows: 7, Windows: []ledger.AuditWindow{{Rows: 7, Verified: 10, Checkpoint: shard.Checkpoint{
		ID: 1, Shard: 1, Window: ledger.Everything, State: shard.Done, Proof: shard.ProofOlder, Counts: shard.Counts{Received: 10, Events: 10},
	}}}}
	if v := Judge(a, 0, 0); !v.Short || v.Lost != 0 || len(v.Reopen) != 1 {
		t.Errorf("before it is walked again: %+v", v)
	}
	s := Recount(&a, nil).Shards[0]
	a.Windows[0].Counts.Events, a.Windows[0].Expected = s.Events, s.Expected
	if v := Judge(a, 0, 0); v.Short || v.Lost != 3 || len(v.Reopen) != 0 || len(v.Findings) != 1 {
		t.Errorf("after that: %+v", v)
	}
	piece := a.Windows[0]
	a.Windows[0].Window.Start, piece.Window.End = 0, 0
	piece.ID, piece.Parent, piece.Rows, piece.Verified, piece.Expected, piece.Counts = 2, 1, 0, 0, nil, shard.Counts{}
	a.Windows = []ledger.AuditWindow{piece, a.Windows[0]}
	if v := Judge(a, 0, 0); v.Short || v.Lost != 3 {
		t.Errorf("with a piece that was split from it: %+v", v)
	}
}

// Two early ends in a row cut a window short that was walked again, and what lay below seemed to be lost, although an older window's shard
// had read on: it is walked once more, and not a third time.
func TestRegressAnEndAboveWhatWasReadIsNoLoss(t *testing.T) {
	expected := int64(10)
	window := func(id int64, from, to, resume shard.Instant, proof shard.Proof) ledger.AuditWindow {
		return ledger.AuditWindow{Rows: 10, Checkpoint: shard.Checkpoint{
			ID: id, Shard: int(id), Window: shard.Window{Start: from, End: to}, State: shard.Done, Proof: proof, Reopened: 1,
			Resume: shard.Key{At: resume}, Counts: shard.Counts{Received: 10, Events: 10},
		}}
	}
	newer := window(2, 100, shard.Future, 150, shard.ProofConfirmed)
	newer.Rows, newer.Counts, newer.Expected = 7, shard.Counts{Received: 7, Events: 7}, &expected
	a := ledger.Audit{Span: ledger.Everything, Rows: 17, Windows: []ledger.AuditWindow{window(1, shard.Past, 100, 20, shard.ProofConfirmed), newer}}
	if v := Judge(a, 0, 0); v.Lost != 3 || !slices.Equal(v.Reopen, []int64{2}) {
		t.Errorf("%+v", v)
	}
	a.Windows[1].Reopened++
	if v := Judge(a, 0, 0); v.Lost != 3 || len(v.Reopen) != 0 {
		t.Errorf("after it was walked once more: %+v", v)
	}
}

// Shards of a round are opened with the counts that they have, and no other.
func TestAgainRecountsNothing(t *testing.T) {
	later := shard.Checkpoint{ID: 2, State: shard.Done, Counts: shard.Counts{Events: 3}}
	a := ledger.Audit{Span: ledger.Everything, RowsBefore: 1, Windows: []ledger.AuditWindow{{Checkpoint: shard.Checkpoint{ID: 1, Counts: shard.Counts{Events: 9}}}},
		Later: []shard.Checkpoint{later}}
	if r := Again(&a, []int64{1, 2}); len(r.Shards) != 1 || r.Shards[0] != (ledger.Reopened{ID: 2, Events: 3, Walk: true}) || r.RowsBefore != 1 {
		t.Errorf("%+v", r)
	}
}

// All rows are gone. A window in which none had been stored out-of-order records of the older one when all was walked again.
func TestWhatAnotherWindowStoresAgainIsNotLost(t *testing.T) {
	window := func(id int64, start, end shard.Instant, rows int64) ledger.AuditWindow {
		return ledger.AuditWindow{Checkpoint: shard.Checkpoint{ID: id, Shard: int(id), Window: shard.Window{Start: start, End: end}, State: shard.Done,
			Proof: shard.ProofOlder, Counts: shard.Counts{Received: rows, Events: rows}}}
	}
	a := ledger.Audit{Span: shard.Window{Start: 0, End: 20}, Windows: []ledger.AuditWindow{window(1, 0, 10, 127), window(2, 10, 20, 0)}}
	for _, s := range Recount(&a, nil).Shards {
		w := &a.Windows[s.ID-1]
		w.Counts.Events, w.Expected = s.Events, s.Expected
	}
	a.Windows[0].Counts.Events, a.Windows[0].Rows, a.Rows = 125, 127, 127
	a.Windows[1].Counts.Events, a.Windows[1].Counts.OutOfOrder = 2, 53
	if v := Judge(a, 0, 0); !v.OK {
		t.Errorf("everything is back: %+v", v)
	}
	a.Windows[0].Counts.Events, a.Windows[0].Rows, a.Rows = 124, 126, 126
	if v := Judge(a, 0, 0); v.Lost != 1 {
		t.Errorf("one is lost: %+v", v)
	}
}
