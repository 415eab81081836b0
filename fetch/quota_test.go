package fetch

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/shard"
)

// at is a moment in tests that need no clock.
func at(d time.Duration) time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC).Add(d) }

// mustTakeAt takes from a quota that must be free, which the bucket may delay.
func mustTakeAt(tb rapid.TB, q *quota, now time.Time) *quotaRequest {
	tb.Helper()
	r, wait := q.take(now)
	if r == nil {
		tb.Fatalf("not free at %v for %v", now, wait)
	}
	return r
}

// The property on which all the rest stands: whatever callers do, no stretch of a window and its margin holds more
// than the limit.
func TestQuotaNeverExceedsItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := Limit{rapid.IntRange(1, 60).Draw(t, "n"), time.Duration(rapid.IntRange(1, 300).Draw(t, "seconds")) * time.Second}
		q := newQuota(shard.List, limit)
		now, flying, sent := at(0), []*quotaRequest(nil), []time.Time(nil)
		for range 300 {
			r, wait := q.take(now)
			switch {
			case r != nil:
				flying, sent = append(flying, r), append(sent, now)
			case len(flying) > 0 && rapid.Bool().Draw(t, "reply"):
				q.observe(now, flying[0], Answer{})
				flying = flying[1:]
			case wait > 0 && rapid.Bool().Draw(t, "patient"):
				now = now.Add(wait)
			default:
				now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			}
		}
		for i := limit.N; i < len(sent); i++ {
			if gap := sent[i].Sub(sent[i-limit.N]); gap < limit.Window+q.margin() {
				t.Fatalf("%d requests within %v, at most %s allowed", limit.N+1, gap, limit)
			}
		}
	})
}

// The wait that take names is enough, and never in vain for ever.
func TestQuotaIsFreeAfterTheWaitItNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQuota(shard.Stream, Limit{rapid.IntRange(0, 60).Draw(t, "n"), time.Minute})
		now := at(0)
		for range 200 {
			r, wait := q.take(now)
			for tries := 0; r == nil; tries++ {
				if tries == 4 {
					t.Fatalf("still not free after %d waits; now %v", tries, wait)
				}
				now = now.Add(wait)
				r, wait = q.take(now)
			}
			q.observe(now, r, Answer{})
		}
	})
}

// Whatever a server answers, in whatever order: the quota stays sound, and lets through again once the server is
// sane.
func TestQuotaSurvivesAnyServer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]Limit{{}, {N: Unlimited}, {1, time.Second}, {50, time.Minute}}).Draw(t, "limit")
		q := newQuota(rapid.SampledFrom([]shard.Endpoint{shard.List, shard.Stream}).Draw(t, "endpoint"), limit)
		now, flying := at(0), []*quotaRequest(nil)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "pass")))
			if r, _ := q.take(now); r != nil {
				flying = append(flying, r)
			}
			if len(flying) > 0 && rapid.Bool().Draw(t, "reply") {
				i := rapid.IntRange(0, len(flying)-1).Draw(t, "which")
				q.observe(now, flying[i], anyAnswer(t))
				flying = slices.Delete(flying, i, i+1)
			}
			checkSound(t, q, len(flying))
		}
		for _, r := range flying {
			q.observe(now, r, Answer{})
		}
		later := now.Add(2 * 365 * 24 * time.Hour)
		q.observe(later, mustTakeAt(t, q, later), Answer{})
	})
}

func anyAnswer(t *rapid.T) Answer {
	duration := rapid.OneOf(rapid.Just(time.Duration(0)), rapid.Map(rapid.Int64Range(0, 400), func(s int64) time.Duration { return time.Duration(s) * time.Second }),
		rapid.Just(longestRetryAfter))
	return Answer{
		Refused:    rapid.Bool().Draw(t, "refused"),
		RetryAfter: duration.Draw(t, "retry after"),
		Limit:      rapid.SampledFrom([]int{0, 0, 0, 1, 10, 1 << 31}).Draw(t, "limit"),
		Remaining:  rapid.SampledFrom([]int{0, 5, 9, 1 << 30}).Draw(t, "remaining"),
		Reset:      duration.Draw(t, "reset"),
		Free:       rapid.Bool().Draw(t, "free"),
	}
}

func checkSound(t *rapid.T, q *quota, flying int) {
	t.Helper()
	if !slices.IsSortedFunc(q.log, func(a, b *quotaRequest) int { return a.at.Compare(b.at) }) {
		t.Fatal("the log is out of order")
	}
	if q.flying != flying || q.limit < Unlimited || q.low < Unlimited || q.window <= 0 || q.patience < 1 {
		t.Fatalf("unsound: %+v, want %d under way", q.quotaTerms, flying)
	}
}

// Requests that were under way when the limit was hit come back in any order; what is learned is the same.
func TestOrderOfRefusalsMakesNoDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit, over := rapid.IntRange(5, 100).Draw(t, "limit"), rapid.IntRange(1, 30).Draw(t, "over")
		known := rapid.SampledFrom([]Limit{{}, {120, time.Minute}}).Draw(t, "known")
		order := rapid.Permutation(indices(over)).Draw(t, "order")

		q := newQuota(shard.Stream, known)
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
	sent := make([]*quotaRequest, limit+over)
	for i := range sent {
		sent[i] = &quotaRequest{at: at(time.Duration(i) * 200 * time.Millisecond), open: true}
		q.log.add(sent[i])
		q.flying++
	}
	now := sent[len(sent)-1].at.Add(time.Second)
	for i, o := range order {
		r := sent[limit+o]
		left := sent[0].at.Add(time.Minute).Sub(r.at)
		q.observe(now.Add(time.Duration(i)*50*time.Millisecond), r, Answer{Refused: true, RetryAfter: (left + time.Second - 1).Truncate(time.Second)})
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

// What somebody else spends is booked once, whichever of our replies shows it first.
func TestOthersAreBookedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		others, ours := rapid.IntRange(0, 4).Draw(t, "others"), rapid.IntRange(1, 5).Draw(t, "ours")
		q := newQuota(shard.List, Limit{10, time.Minute})
		var sent []*quotaRequest
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

// A request of ours that overtook another is not somebody else's.
func TestOvertakingIsNotTakenForOthers(t *testing.T) {
	q := newQuota(shard.List, Limit{10, time.Minute})
	first, second := mustTakeAt(t, q, at(0)), mustTakeAt(t, q, at(500*time.Millisecond))
	q.observe(at(4*time.Second), second, Answer{Limit: 10, Remaining: 9, Reset: time.Minute})
	q.observe(at(4*time.Second), first, Answer{Limit: 10, Remaining: 8, Reset: time.Minute})
	if len(q.log) != 2 {
		t.Errorf("%d requests in the log, want 2", len(q.log))
	}
}

// On a server with fixed windows, a reset is what is left of the window: it must neither shrink a known window nor be
// believed below ten seconds.
func TestWindowNeverShrinks(t *testing.T) {
	for _, c := range []struct {
		known  Limit
		resets []time.Duration
		want   time.Duration
	}{
		{Limit{}, []time.Duration{60 * time.Second}, 60 * time.Second},
		{Limit{}, []time.Duration{3 * time.Second}, 10 * time.Second},
		{Limit{}, []time.Duration{20 * time.Second, 60 * time.Second, 5 * time.Second}, 60 * time.Second},
		{Limit{10, time.Minute}, []time.Duration{5 * time.Second}, 60 * time.Second},
		{Limit{10, time.Minute}, []time.Duration{300 * time.Second}, 300 * time.Second},
		{Limit{10, 6 * time.Second}, []time.Duration{6 * time.Second}, 6 * time.Second},
		{Limit{}, []time.Duration{0}, 60 * time.Second},
	} {
		q := newQuota(shard.List, c.known)
		now := at(0)
		for _, reset := range c.resets {
			q.observe(now, mustTakeAt(t, q, now), Answer{Limit: 10, Remaining: 9, Reset: reset})
			now = now.Add(10 * time.Minute)
		}
		if q.window != c.want {
			t.Errorf("known %s, resets %v: window %v, want %v", c.known, c.resets, q.window, c.want)
		}
	}
}

func TestWindowFromRetryAfter(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		name       string
		sent       []time.Duration
		refused    time.Duration
		retryAfter time.Duration
		want       time.Duration
		sure       bool
	}{
		{"our first request is the oldest", []time.Duration{0, 3 * second, 6 * second}, 20 * second, 40 * second, 60 * second, true},
		{"rounded up, and slow on its way", []time.Duration{0, 3 * second}, 20*second + 700*time.Millisecond, 41 * second, 60 * second, true},
		{"fast on its way", []time.Duration{0, 3 * second}, 20*second - 600*time.Millisecond, 40 * second, 60 * second, true},
		{"five minutes", []time.Duration{0, 100 * second}, 150 * second, 150 * second, 300 * second, true},
		{"older ones have left, with a gap before the oldest", []time.Duration{0, 1 * second, 40 * second, 41 * second}, 70 * second, 30 * second, 60 * second, true},
		{"the oldest was not ours", []time.Duration{0, 1 * second}, 20 * second, 10 * second, guessWindow, false},
		{"longer than any window", []time.Duration{0}, 20 * second, time.Hour, guessWindow, false},
		{"no request of ours", nil, 20 * second, 30 * second, guessWindow, false},
	} {
		var l quotaLog
		for _, d := range c.sent {
			l.add(&quotaRequest{at: at(d)})
		}
		if w, sure := l.window(at(c.refused), c.retryAfter); w != c.want || sure != c.sure {
			t.Errorf("%s: %v (sure: %v), want %v (%v)", c.name, w, sure, c.want, c.sure)
		}
	}
}
