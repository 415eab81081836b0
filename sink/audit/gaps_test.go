package audit

import (
	"reflect"
	"testing"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// What the ledger has lost is counted as what the table has, and walked. Its neighbours may have stored a part of that before they were
// split from it, or it from them: they count what lies in their own windows.
func TestRecountFillsGaps(t *testing.T) {
	window := func(id int64, start, end shard.Instant, events, rows int64) ledger.AuditWindow {
		return ledger.AuditWindow{Rows: rows, Checkpoint: shard.Checkpoint{
			ID: id, Shard: int(id), Window: shard.Window{Start: start, End: end}, State: shard.Done, Proof: shard.ProofOlder,
			Counts: shard.Counts{Received: events, Events: events},
		}}
	}
	span := shard.Window{Start: 0, End: 40}
	for name, test := range map[string]struct {
		windows []ledger.AuditWindow // the rows of those without an id are in no window of the ledger
		later   []shard.Checkpoint
		rounds  []ledger.RoundWindows
		want    ledger.Reopening
	}{
		"a piece of the newer one": {
			windows: []ledger.AuditWindow{window(1, 0, 10, 5, 5), window(0, 10, 20, 0, 7), window(2, 20, 40, 12, 9)},
			want: ledger.Reopening{
				Shards: []ledger.Reopened{{ID: 1, Events: 5}, {ID: 2, Events: 9, Walk: true}},
				Filled: []ledger.Filled{{Gap: ledger.Gap{Window: shard.Window{Start: 10, End: 20}, Round: 1}, Events: 7}},
			},
		},
		"one of an open round": {
			windows: []ledger.AuditWindow{window(1, 0, 20, 5, 5), window(2, 20, 40, 10, 13)},
			rounds:  []ledger.RoundWindows{{Round: 2, Span: shard.Window{Start: 30, End: 40}}},
			want: ledger.Reopening{
				Shards: []ledger.Reopened{{ID: 2, Events: 13}},
				Filled: []ledger.Filled{{Gap: ledger.Gap{Window: shard.Window{Start: 30, End: 40}, Round: 2}}},
			},
		},
		"one of a finished round": {
			windows: []ledger.AuditWindow{window(1, 0, 20, 5, 5), window(2, 20, 40, 10, 15)},
			later:   []shard.Checkpoint{{ID: 9, Window: shard.Window{Start: 30, End: 35}, State: shard.Done, Counts: shard.Counts{Received: 2, Events: 2}}},
			rounds:  []ledger.RoundWindows{{Round: 2, Finished: true, Span: shard.Window{Start: 30, End: 40}, Windows: []shard.Window{{Start: 30, End: 35}}}},
			want: ledger.Reopening{
				Shards: []ledger.Reopened{{ID: 2, Events: 15, Walk: true}, {ID: 9}},
				Filled: []ledger.Filled{{Gap: ledger.Gap{Window: shard.Window{Start: 35, End: 40}, Round: 2, Finished: true}}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := ledger.Audit{Span: span, Later: test.later}
			for _, w := range test.windows {
				if a.Rows += w.Rows; w.ID != 0 {
					a.Windows = append(a.Windows, w)
				}
			}
			a.FillGaps(test.rounds)
			for i := range a.Windows {
				a.Windows[i].Rows = test.windows[i].Rows
			}
			if v := Judge(a, 0, 0); !v.Short || v.Foreign != 0 || len(v.Reopen) == 0 || v.Reopen[len(v.Reopen)-1] != -1 && v.Reopen[0] != -1 {
				t.Errorf("judged %+v", v)
			}
			if got := Recount(&a, nil); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got\n%+v, want\n%+v", got, test.want)
			}
			if r, lost := Accept(&a); len(r.Shards)+len(r.Filled) > 0 || lost != 0 {
				t.Errorf("accepted %d events as lost, with %+v", lost, r)
			}
		})
	}
}
