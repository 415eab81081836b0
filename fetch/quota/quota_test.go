package quota

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"
)

// at is a moment in tests that need no clock.
func at(d time.Duration) time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC).Add(d) }

// mustTakeAt takes from a quota that must be free, which the bucket may delay.
func mustTakeAt(tb rapid.TB, q *quota, now time.Time) *request {
	tb.Helper()
	r, wait := q.take(now)
	if r == nil {
		tb.Fatalf("not free at %v for %v", now, wait)
	}
	return r
}

// takeWhenFree waits as long as it takes, and returns the request and its time.
func takeWhenFree(q *quota, now time.Time) (*request, time.Time) {
	r, wait := q.take(now)
	for r == nil {
		now = now.Add(wait)
		r, wait = q.take(now)
	}
	return r, now
}

// The fundamental property: whatever callers do, no stretch as long as the window and its margin holds more requests than the limit.
func TestQuotaNeverExceedsItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := Limit{rapid.IntRange(1, 60).Draw(t, "n"), time.Duration(rapid.IntRange(1, 300).Draw(t, "seconds")) * time.Second}
		q := newQuota(Spec{"list", limit, true})
		now, flying, sent := at(0), []*request(nil), []time.Time(nil)
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

// The wait that take returns is long enough, and no shorter than the speed allows.
func TestQuotaIsFreeAfterTheWaitItNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQuota(Spec{"stream", Limit{rapid.SampledFrom([]int{0, 1, 50, 60}).Draw(t, "n"), time.Minute}, false})
		now, last, speed := at(0), at(-time.Hour), rate.Limit(1)
		for range 200 {
			r, wait := q.take(now)
			for tries := 0; r == nil; tries++ { // first for the log, then for the bucket
				if tries == 2 {
					t.Fatalf("still not free after %d waits; now %v", tries, wait)
				}
				now = now.Add(wait)
				r, wait = q.take(now)
			}
			if gap := now.Sub(last); gap.Seconds() < 1/float64(speed)-1e-6 {
				t.Fatalf("%v after the one before, at %v a second", gap, speed)
			}
			last, speed = now, q.bucket.Limit()
			q.observe(now, r, Answer{})
		}
	})
}

// Whatever a server answers, in whatever order: the quota stays consistent, and lets requests through once the server is sane.
func TestQuotaSurvivesAnyServer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]Limit{{}, {N: Unlimited}, {1, time.Second}, {50, time.Minute}}).Draw(t, "limit")
		q := newQuota(Spec{"any", limit, rapid.Bool().Draw(t, "announced")})
		now, flying := at(0), []*request(nil)
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
	seconds := rapid.Map(rapid.Int64Range(0, 400), func(s int64) time.Duration { return time.Duration(s) * time.Second })
	duration := rapid.OneOf(rapid.Just(time.Duration(0)), seconds, rapid.Just(longestWait))
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
	if !slices.IsSortedFunc(q.log, func(a, b *request) int { return a.at.Compare(b.at) }) {
		t.Fatal("the log is out of order")
	}
	if q.inFlight != flying || q.limit < Unlimited || q.low < Unlimited || q.window <= 0 || q.patience < 1 {
		t.Fatalf("unsound: %+v, want %d under way", q.terms, flying)
	}
}

// On a server with fixed windows, a reset is the rest of the window: it must neither shrink a known window nor be
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
		{Limit{}, []time.Duration{1000 * time.Hour}, longestReset},
	} {
		q := newQuota(Spec{"list", c.known, true})
		now := at(0)
		for _, reset := range c.resets {
			q.observe(now, mustTakeAt(t, q, now), Answer{Limit: 10, Remaining: 9, Reset: reset})
			now = now.Add(30 * time.Minute)
		}
		if q.window != c.want {
			t.Errorf("known %s, resets %v: window %v, want %v", c.known, c.resets, q.window, c.want)
		}
	}
}

// BenchmarkQuota measures the same for a quota like the stream's with a full log, on a clock that always shows a free slot.
func BenchmarkQuota(b *testing.B) {
	q, now := newQuota(Spec{"stream", Limit{50, time.Minute}, false}), at(0)
	b.ReportAllocs()
	for b.Loop() {
		var r *request
		r, now = takeWhenFree(q, now)
		q.observe(now, r, Answer{})
	}
}
