package quota

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Clocks that are wrong, at least at times. None may cost a refusal, nor more of the quota than the margin that holds without a clock.
func TestPacerUnderClocksThatLie(t *testing.T) {
	started := func() time.Duration { return time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) } // of the bubble
	for name, clock := range map[string]simClock{
		"whole seconds":      blind,
		"tenths of a second": func(seen time.Time) time.Time { return seen.Truncate(100 * time.Millisecond) },
		"set when it leaves": func(seen time.Time) time.Time {
			return seen.Add(3*time.Second + time.Duration(seen.UnixMicro()%700)*time.Millisecond)
		},
		"the same for all": func(time.Time) time.Time { return time.UnixMilli(1_772_625_600_123) },
		"two servers": func(seen time.Time) time.Time {
			return seen.Add(time.Duration(seen.UnixMicro()%2) * 400 * time.Millisecond)
		},
		"set forward and back":   func(seen time.Time) time.Time { return seen.Add(started() / (7 * time.Minute) % 3 * 2 * time.Second) },
		"a second fast a minute": func(seen time.Time) time.Time { return seen.Add(started() / 60) },
		"a second slow a minute": func(seen time.Time) time.Time { return seen.Add(-started() / 60) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newSimAPI(4)
				api.clock = clock
				api.hour(t, newTestPacer(t, allConfigured), 8, simUse{list: 0.975, stream: 0.975})
			})
		})
	}
}

// With a clock, jitter beyond the margin is no surprise: a request that arrived late is known to leave late.
func TestPacerKnowsWhoCameLate(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newSimAPI(seed)
				api.net.oneWay = simJitter
				api.hour(t, newTestPacer(t, allConfigured), 8, simUse{0.98, 0.98, [2]int{2, 2}, 1})
			})
		})
	}
}

// stampedQuota has used up its limit, a request every 200 ms, each seen as soon as the others.
func stampedQuota(t *testing.T, late func(i int) time.Duration) *quota {
	t.Helper()
	q := newQuota(Spec{"stream", Limit{50, time.Minute}, false})
	for i := range 50 {
		now := at(time.Duration(i) * 200 * time.Millisecond)
		r := mustTakeAt(t, q, now)
		q.observe(now, r, Answer{})
		q.stamp(now, r, now.Add(time.Hour+late(i)+123*time.Millisecond))
	}
	return q
}

func inTime(int) time.Duration { return 0 }

func TestStampsShortenTheMargin(t *testing.T) {
	for _, c := range []struct {
		name string
		late func(i int) time.Duration
		want time.Duration // when the next may go
	}{
		{"in time", inTime, time.Minute + 300*time.Millisecond},
		{"the first 800 ms late", func(i int) time.Duration { return max(0, time.Duration(1-i)) * 800 * time.Millisecond }, time.Minute + 500*time.Millisecond},
		{"any old time", func(i int) time.Duration { return time.Duration(i%3) * 700 * time.Millisecond }, time.Minute + time.Second},
		{"hours late", func(i int) time.Duration { return time.Duration(i%50/40) * 5 * time.Hour }, time.Minute + 300*time.Millisecond},
	} {
		q := stampedQuota(t, c.late)
		if _, wait := q.take(at(10 * time.Second)); wait != c.want-10*time.Second {
			t.Errorf("%s: next after %v, want %v", c.name, 10*time.Second+wait, c.want)
		}
	}
}

// A request that went because of a clock and was refused shows that the clock is wrong. Neither the limit nor the network is to blame.
func TestARefusalRefutesTheStamps(t *testing.T) {
	q := stampedQuota(t, inTime)
	r, now := takeWhenFree(q, at(10*time.Second))
	q.observe(now, r, Answer{Refused: true, RetryAfter: time.Second})
	if q.limit != 50 || q.late != 0 {
		t.Errorf("limit %d, %v late, want 50 and 0", q.limit, q.late)
	}
	lone, now := takeWhenFree(q, now)
	q.observe(now, lone, Answer{})
	for i := range 49 + 2*50 { // two windows later, with the best of stamps
		r, now = takeWhenFree(q, now)
		q.observe(now, r, Answer{})
		q.stamp(now, r, now.Add(time.Hour+123*time.Millisecond))
		if i > 49 && r.early {
			t.Fatalf("request %d went because of a clock that was wrong", i)
		}
	}
}
