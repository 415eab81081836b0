package quota

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Requests that were under way when the limit was hit come back in any order; what is learned is the same.
func TestOrderOfRefusalsMakesNoDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit, over := rapid.IntRange(5, 100).Draw(t, "limit"), rapid.IntRange(1, 30).Draw(t, "over")
		known := rapid.SampledFrom([]Limit{{}, {120, time.Minute}}).Draw(t, "known")
		order := rapid.Permutation(indices(over)).Draw(t, "order")

		q := newQuota(Spec{"stream", known, false})
		storm(q, limit, over, order)
		if q.limit != limit || q.window != time.Minute || !q.sure {
			t.Fatalf("learned %d per %v (sure: %v), want %d per minute", q.limit, q.window, q.sure, limit)
		}
		if known.N == 0 && q.ceiling != limit || known.N > 0 && q.ceiling != known.N {
			t.Fatalf("ceiling %d", q.ceiling)
		}
		if q.strikes != 1 || q.refusals != over || q.patience != 1 {
			t.Fatalf("%d strikes, %d refusals, patience %d, want 1, %d, 1", q.strikes, q.refusals, q.patience, over)
		}
	})
}

// storm sends limit+over requests, of which the last are refused, and observes the refusals in the given order.
func storm(q *quota, limit, over int, order []int) {
	sent := make([]*request, limit+over)
	for i := range sent {
		sent[i] = &request{at: at(time.Duration(i) * 200 * time.Millisecond), open: true}
		q.log.add(sent[i])
		q.inFlight++
	}
	now := sent[len(sent)-1].at.Add(time.Second)
	for i, o := range order {
		r := sent[limit+o]
		left := sent[0].at.Add(time.Minute).Sub(r.at)
		refusal := Answer{Refused: true, RetryAfter: (left + time.Second - 1).Truncate(time.Second)}
		q.observe(now.Add(time.Duration(i)*50*time.Millisecond), r, refusal)
	}
	for _, r := range sent[:limit] {
		q.observe(now.Add(3*time.Second), r, Answer{})
	}
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// A request of others is entered once, whichever of our answers reveals it first.
func TestOthersAreBookedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		others, ours := rapid.IntRange(0, 4).Draw(t, "others"), rapid.IntRange(1, 5).Draw(t, "ours")
		q := newQuota(Spec{"list", Limit{10, time.Minute}, true})
		var sent []*request
		for i := range ours {
			sent = append(sent, mustTakeAt(t, q, at(time.Duration(i)*1500*time.Millisecond)))
		}
		for _, i := range rapid.Permutation(indices(ours)).Draw(t, "order") {
			q.observe(at(20*time.Second), sent[i], Answer{Limit: 10, Remaining: 10 - others - i - 1, Reset: time.Minute})
		}
		if len(q.log) != ours+others {
			t.Fatalf("%d requests in the log, want %d", len(q.log), ours+others)
		}
	})
}

// Others have taken everything that we left: no request goes before theirs are forgotten.
func TestOthersTakeUpRoom(t *testing.T) {
	q := newQuota(Spec{"list", Limit{10, time.Minute}, true})
	q.observe(at(3*time.Second), mustTakeAt(t, q, at(0)), Answer{Limit: 10, Remaining: 0, Reset: 5 * time.Second})
	if _, wait := q.take(at(4 * time.Second)); wait != 57*time.Second {
		t.Errorf("waits %v, want 57s", wait)
	}
}

// A second refusal after the pause that the server asked for: others keep its log full, and so do our own refused requests. Only
// silence for a whole window ends that.
func TestSecondRefusalDrainsTheLog(t *testing.T) {
	q := newQuota(Spec{"stream", Limit{50, time.Minute}, false})
	q.observe(at(0), mustTakeAt(t, q, at(0)), Answer{Refused: true, RetryAfter: 3 * time.Second})
	if _, wait := q.take(at(time.Second)); wait != 59*time.Second { // nothing of ours was accepted: as good as a second one
		t.Errorf("waits %v, want 59s", wait)
	}
	var sent []*request
	for i := range 10 {
		now := at(2*time.Minute + time.Duration(i)*time.Second)
		r := mustTakeAt(t, q, now)
		q.observe(now, r, Answer{})
		sent = append(sent, r)
	}
	now := sent[9].at.Add(time.Second)
	q.observe(now, mustTakeAt(t, q, now), Answer{Refused: true, RetryAfter: 3 * time.Second})
	if pause := q.pause.Sub(now); pause != 3*time.Second {
		t.Errorf("pauses for %v after a first refusal, want the 3s it was told", pause)
	}
	r, now := takeWhenFree(q, now)
	q.observe(now, r, Answer{Refused: true, RetryAfter: 3 * time.Second})
	if pause := q.pause.Sub(now); pause < time.Minute {
		t.Errorf("pauses for %v after a second refusal, want a whole window", pause)
	}
}

// A request of ours that overtook another one is not taken for one of others.
func TestOvertakingIsNotTakenForOthers(t *testing.T) {
	q := newQuota(Spec{"list", Limit{10, time.Minute}, true})
	first, second := mustTakeAt(t, q, at(0)), mustTakeAt(t, q, at(500*time.Millisecond))
	q.observe(at(4*time.Second), second, Answer{Limit: 10, Remaining: 9, Reset: time.Minute})
	q.observe(at(4*time.Second), first, Answer{Limit: 10, Remaining: 8, Reset: time.Minute})
	if len(q.log) != 2 {
		t.Errorf("%d requests in the log, want 2", len(q.log))
	}
}
