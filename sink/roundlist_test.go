package sink

import (
	"testing"

	"sluice/coordinator/ledger"
)

// TestRoundsAreListed: the newest first, each with what it counted and what it cost, which runs add up.
func TestRoundsAreListed(t *testing.T) {
	b := newBench(t)
	b.last(t, 0, events(0, 10))
	must(t, b.NoteRequests(t.Context(), b.job.ID, 1, 3))
	must(t, b.NoteRequests(t.Context(), b.job.ID, 1, 4))
	b.round(t, ledger.Round{Newest: 9000})
	b.last(t, 0, events(20, 5))
	must(t, b.NoteRequests(t.Context(), b.job.ID, 2, 1))
	s, err := b.Status(t.Context(), b.job.Name)
	must(t, err)
	if len(s.Rounds) != 2 || s.Rounds[0].Number != 2 || s.Rounds[1].Number != 1 {
		t.Fatalf("%d rounds", len(s.Rounds))
	}
	for i, want := range []struct{ events, requests int64 }{{5, 1}, {10, 7}} {
		equal(t, "events", s.Rounds[i].Counts.Events, want.events)
		equal(t, "requests", s.Rounds[i].Requests, want.requests)
	}
}
