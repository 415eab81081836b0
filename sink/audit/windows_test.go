package audit

import (
	"slices"
	"testing"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

func TestWhole(t *testing.T) {
	span := shard.Window{Start: 0, End: 30}
	for name, test := range map[string]struct {
		windows []shard.Window
		ok      bool
	}{
		"whole":       {[]shard.Window{{Start: 0, End: 10}, {Start: 10, End: 30}}, true},
		"a gap":       {[]shard.Window{{Start: 0, End: 10}, {Start: 11, End: 30}}, false},
		"no end":      {[]shard.Window{{Start: 0, End: 10}}, false},
		"no start":    {[]shard.Window{{Start: 10, End: 30}}, false},
		"nothing":     {nil, false},
		"an overlap":  {[]shard.Window{{Start: 0, End: 20}, {Start: 10, End: 30}}, true},
		"one too far": {[]shard.Window{{Start: 0, End: 30}, {Start: 30, End: 40}}, true},
	} {
		var all []shard.Checkpoint
		for _, w := range test.windows {
			all = append(all, shard.Checkpoint{Window: w})
		}
		if err := Whole(2, span, all); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The database does not take such a row; an audit of something older might.
func TestJudgeTakesNoEndOnTrust(t *testing.T) {
	done := ledger.AuditWindow{Checkpoint: shard.Checkpoint{Shard: 1, State: shard.Done}}
	if v := Judge(ledger.Audit{Windows: []ledger.AuditWindow{done}}, 0, 0); v.OK {
		t.Errorf("a shard that is done without a proof passes: %s", v.Summary())
	}
}

// What lies in a piece although its parent stored it, because its timestamp is wrong, is missing from neither.
func TestJudgeTakesAFamilyAsAWhole(t *testing.T) {
	rest := ledger.AuditWindow{Checkpoint: shard.Checkpoint{ID: 1, Shard: 1, Window: shard.Window{Start: 5, End: 9}, State: shard.Done, Proof: shard.ProofOlder,
		Counts: shard.Counts{Received: 10, Events: 10}}, Rows: 9}
	piece := ledger.AuditWindow{Checkpoint: shard.Checkpoint{ID: 2, Shard: 2, Parent: 1, Window: shard.Window{Start: 0, End: 5}, State: shard.Done,
		Proof: shard.ProofOlder, Counts: shard.Counts{Received: 20, Events: 20}}, Rows: 21}
	a := ledger.Audit{Span: shard.Window{Start: 0, End: 9}, Windows: []ledger.AuditWindow{piece, rest}, Rows: 30}
	if v := Judge(a, 0, 0); !v.OK {
		t.Errorf("a record of the parent in the window of the piece: %v", v.Findings)
	}
	a.Windows[0].Rows, a.Rows = 20, 29
	v := Judge(a, 0, 0)
	if v.OK || !slices.Equal(v.Reopen, []int64{2, 1}) {
		t.Errorf("one row of both is gone: %+v", v)
	}
}
