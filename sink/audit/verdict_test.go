package audit

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// complete is an audit of three windows that were walked to their ends: 30, 20 and 10 events, all of them rows. Only the end of
// the first one rests on the source's word.
func complete() ledger.Audit {
	edges := []shard.Instant{shard.Past, 1000, 2000, shard.Future}
	a := ledger.Audit{Span: ledger.Everything, Rows: 60}
	for n := range int64(3) {
		events := 30 - 10*n
		w := ledger.AuditWindow{Checkpoint: shard.Checkpoint{ID: n + 1, Shard: int(n + 1), Window: shard.Window{Start: edges[n], End: edges[n+1]},
			State: shard.Done, Proof: shard.ProofOlder, Counts: shard.Counts{Received: events, Events: events}}, Rows: events}
		a.Windows = append(a.Windows, w)
	}
	a.Windows[0].Proof = shard.ProofConfirmed
	return a
}

func of(n int64) *int64 { return &n }

func TestVerdict(t *testing.T) {
	later := func(a *ledger.Audit, events int64, in shard.Window) {
		a.Later = append(a.Later, shard.Checkpoint{ID: 9, State: shard.Done, Window: in, Counts: shard.Counts{Received: events, Events: events}})
	}
	newest, across := shard.Window{Start: 2500, End: shard.Future}, shard.Window{Start: 1500, End: 2500}
	for name, test := range map[string]struct {
		change     func(*ledger.Audit)
		start, end int64
		findings   []string // words of each
		reopen     []int64
		skipped    int
	}{
		"complete":        {func(*ledger.Audit) {}, 60, 60, nil, nil, 0},
		"the source grew": {func(*ledger.Audit) {}, 55, 70, nil, nil, 0},
		"no totals":       {func(*ledger.Audit) {}, 0, 0, nil, nil, 2},
		"one row is gone": {func(a *ledger.Audit) { a.Windows[1].Rows--; a.Rows-- }, 60, 60,
			[]string{"shard 2 [", "60 were stored, but the table has 59", "1 are missing"}, []int64{2}, 0},
		"strays lie in another window": {func(a *ledger.Audit) {
			a.Windows[1].Rows -= 5
			a.Windows[1].Counts.OutOfOrder = 5
			a.Windows[0].Rows += 5
		}, 60, 60, nil, nil, 0},
		"more strays than that": {func(a *ledger.Audit) {
			a.Windows[1].Rows -= 6
			a.Windows[1].Counts.OutOfOrder = 5
			a.Windows[0].Rows += 6
		}, 60, 60, []string{"shard 2 ["}, []int64{2}, 0},
		"a later round stored more": {func(a *ledger.Audit) { later(a, 4, newest); a.Windows[2].Rows, a.Rows = 14, 64 }, 60, 64, nil, nil, 0},
		"and lost one of them": {func(a *ledger.Audit) { later(a, 4, newest); a.Windows[2].Rows, a.Rows = 13, 63 }, 60, 64,
			[]string{"shard 3 [", "64 were stored, but the table has 63"}, []int64{3}, 0},
		"one of a round across an edge": {func(a *ledger.Audit) { later(a, 4, across); a.Windows[1].Rows, a.Windows[2].Rows, a.Rows = 22, 11, 63 }, 60, 64,
			[]string{"1 rows are missing between", "64 were stored, but the table has 63"}, []int64{2, 3}, 0},
		"lost, and not shown again":  {func(a *ledger.Audit) { a.Windows[1].Expected = of(22) }, 60, 60, []string{"2 events that were stored are gone"}, nil, 0},
		"shown again":                {func(a *ledger.Audit) { a.Windows[1].Expected = of(20) }, 60, 60, nil, nil, 0},
		"shown again, with more":     {func(a *ledger.Audit) { a.Windows[1].Expected = of(19) }, 60, 60, nil, nil, 0},
		"some of it by a piece":      {func(a *ledger.Audit) { a.Windows[1].Expected, a.Windows[0].Parent = of(50), 2 }, 60, 60, nil, nil, 0},
		"a later round is open":      {func(a *ledger.Audit) { later(a, 0, newest); a.Later[0].State = shard.Running }, 60, 60, nil, nil, 1},
		"the source had one more":    {func(*ledger.Audit) {}, 61, 61, []string{"1 are missing"}, []int64{1}, 0},
		"more, all ends were seen":   {func(a *ledger.Audit) { a.Windows[0].Proof = shard.ProofOlder }, 61, 61, []string{"1 are missing"}, []int64{1, 2, 3}, 0},
		"a dead letter with an id":   {func(a *ledger.Audit) { a.DeadNamed = 1 }, 61, 61, nil, nil, 0},
		"a dead letter without one":  {func(a *ledger.Audit) { a.DeadBlind = 1 }, 61, 61, nil, nil, 0},
		"one that came again":        {func(a *ledger.Audit) { a.DeadDuplicates = 1 }, 61, 61, nil, nil, 0},
		"a conflict":                 {func(a *ledger.Audit) { a.DeadConflicts = 1 }, 61, 61, nil, nil, 0},
		"all of these, one too few":  {func(a *ledger.Audit) { a.DeadNamed, a.DeadBlind, a.DeadDuplicates, a.DeadConflicts = 1, 1, 1, 1 }, 65, 65, []string{"60 rows and 4 dead letters account for 64: 1 are missing"}, []int64{1}, 0},
		"the source has less":        {func(*ledger.Audit) {}, 0, 59, []string{"60 rows and 0 dead letters"}, nil, 1},
		"less than with the letters": {func(a *ledger.Audit) { a.DeadNamed = 1 }, 0, 60, []string{"60 rows and 1 dead letters"}, nil, 1},
		"blind letters do not count": {func(a *ledger.Audit) { a.DeadBlind = 1 }, 0, 60, nil, nil, 1},
		"another program writes":     {func(a *ledger.Audit) { a.Rows++ }, 60, 61, []string{"61 rows, 1 more than were stored"}, nil, 0},
		"another job writes":         {func(a *ledger.Audit) { a.Rows++; a.ByOthers = 1 }, 60, 60, nil, nil, 3},
		"rows were there before":     {func(a *ledger.Audit) { a.Rows++; a.RowsBefore = 1 }, 60, 60, nil, nil, 3},
		"and have gone":              {func(a *ledger.Audit) { a.RowsBefore = 1 }, 0, 0, []string{"1 rows were there before and 60 were stored, but the table has 60"}, []int64{1, 2, 3}, 2},
		"a shard is not done":        {func(a *ledger.Audit) { a.Windows[1].State = shard.Failed }, 99, 99, []string{"shard 2 ["}, nil, 1},
		"not done and short":         {func(a *ledger.Audit) { a.Windows[1].State = shard.Failed; a.Windows[1].Rows--; a.Rows-- }, 0, 0, []string{"shard 2 [", "shard 2 [", "the table has 59"}, []int64{2}, 1},
		"a part of the source":       {func(a *ledger.Audit) { a.Span.Start = 0; a.Windows[0].Window.Start = 0 }, 99, 9, nil, nil, 1},
		"the first window is gone":   {func(a *ledger.Audit) { a.Windows = a.Windows[1:]; a.Rows = 30; a.FillGaps(nil) }, 0, 0, []string{"round 1 has no shard for"}, []int64{-1}, 2},
		"the last window is gone":    {func(a *ledger.Audit) { a.Windows = a.Windows[:2]; a.FillGaps(nil) }, 60, 60, []string{"round 1 has no shard for"}, []int64{-1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			a := complete()
			test.change(&a)
			v := Judge(a, test.start, test.end)
			if v.OK != (len(test.findings) == 0) || len(v.Findings) != len(test.findings) || v.Summary() == "" {
				t.Fatalf("OK is %v with %q, want %q", v.OK, v.Findings, test.findings)
			}
			for i, words := range test.findings {
				if !strings.Contains(v.Findings[i], words) {
					t.Errorf("finding %q does not contain %q", v.Findings[i], words)
				}
			}
			if !reflect.DeepEqual(v.Reopen, test.reopen) {
				t.Errorf("reopen %v, want %v", v.Reopen, test.reopen)
			}
			if len(v.NotApplied) != test.skipped {
				t.Errorf("skipped %q, want %d", v.NotApplied, test.skipped)
			}
		})
	}
}

func TestSummaryCountsFurtherFindings(t *testing.T) {
	for n, want := range map[int]string{1: "a", 2: "a, and 1 more findings", 3: "a, and 2 more findings"} {
		if got := (Verdict{Findings: []string{"a", "b", "c"}[:n]}).Summary(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	v := Judge(complete(), 60, 60)
	if want := "60 rows: all 3 shards complete with proven ends, the table matches the ledger, rows account for the 60 events that the source counted"; v.Summary() != want {
		t.Errorf("got %q, want %q", v.Summary(), want)
	}
}

// A day is complete if every window that reaches into it is; windows that only touch its midnights say nothing about it.
func TestCompleteDay(t *testing.T) {
	day := func(n int) shard.Instant { return shard.InstantOf(time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC)) }
	window := func(id int64, from, to shard.Instant, proof shard.Proof) ledger.AuditWindow {
		return ledger.AuditWindow{Checkpoint: shard.Checkpoint{ID: id, Window: shard.Window{Start: from, End: to}, State: shard.Done, Proof: proof,
			Counts: shard.Counts{Events: 10}}, Rows: 10}
	}
	a := ledger.Audit{Windows: []ledger.AuditWindow{
		window(1, shard.Past, day(2), ""), window(2, day(2), day(3), shard.ProofOlder), window(3, day(3), shard.Future, ""),
	}}
	for n, want := range map[int]bool{1: false, 2: true, 3: false} {
		if got := Complete(&a, ledger.AuditDay{Day: day(n).Time()}); got != want {
			t.Errorf("January %d: %v, want %v", n, got, want)
		}
	}
	a.Windows[1].Rows = 9
	if Complete(&a, ledger.AuditDay{Day: day(2).Time()}) {
		t.Error("a day of which a row is gone is complete")
	}
	a.Windows[1].Counts.OutOfOrder = 1
	if !Complete(&a, ledger.AuditDay{Day: day(2).Time()}) {
		t.Error("a day with a stray that lies elsewhere is not complete")
	}
}
