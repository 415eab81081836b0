package apisim

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestGrowingOnlyGrows: an event that is visible stays visible; one that is not late is visible from its timestamp on.
func TestGrowingOnlyGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := time.Duration(rapid.IntRange(1, 30_000).Draw(t, "most, ms")) * time.Millisecond
		d, err := NewData(Config{
			Seed: rapid.Uint64().Draw(t, "seed"), Events: cmp.Or(rapid.Int64Range(0, 200).Draw(t, "events"), None), Newest: synced,
			Live: Live{Rate: rapid.Float64Range(0.01, 50).Draw(t, "rate"), LateShare: rapid.Float64Range(0.001, 1).Draw(t, "share"),
				LateBy: most/3 + 1, LateMost: most},
		})
		if err != nil {
			t.Skip("no such data set") // such as one event in no time
		}
		now := synced.Add(time.Duration(rapid.IntRange(-1000, 40_000).Draw(t, "now, ms")) * time.Millisecond)
		then := now.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(t, "later by, ms")) * time.Millisecond)
		before, after := d.At(now), d.At(then)
		for serial := range after.end {
			e := d.Event(serial)
			seen := serial < before.end && before.sees(serial)
			if due := serial < d.history || e.ArrivesMS <= now.UnixMilli(); seen != due {
				t.Fatalf("event %d arrives at %d and is seen %v at %d", serial, e.ArrivesMS, seen, now.UnixMilli())
			}
			if seen && !after.sees(serial) {
				t.Fatalf("event %d is not seen any more", serial)
			}
		}
		if before.Events() > after.Events() {
			t.Fatalf("%d events, and then %d", before.Events(), after.Events())
		}
	})
}

// TestGrowingAsItWasAskedTo: the rate, the share of late events, their average and their most.
func TestGrowingAsItWasAskedTo(t *testing.T) {
	d, err := NewData(Config{Newest: synced, Live: Live{Rate: 50, LateShare: 0.05, LateBy: 2 * time.Minute, LateMost: 10 * time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	late, sum, most := 0, time.Duration(0), time.Duration(0)
	for serial := d.history; serial < d.history+360_000; serial++ {
		e := d.Event(serial)
		by := time.Duration(e.ArrivesMS-e.OrderMS) * time.Millisecond
		if by > 0 {
			late, sum = late+1, sum+by
		}
		most = max(most, by)
	}
	if end := d.Event(d.history + 360_000).OrderMS; end < synced.Add(2*time.Hour-15*time.Second).UnixMilli() || end > synced.Add(2*time.Hour+15*time.Second).UnixMilli() {
		t.Errorf("360,000 events took until %s", time.UnixMilli(end).UTC())
	}
	if late < 17_500 || late > 18_500 || most != 10*time.Minute {
		t.Errorf("%d of 360,000 events are late, the latest by %s", late, most)
	}
	// What lies beyond the most is cut to it, which takes 1/e^5 off the average.
	if average := sum / time.Duration(late); average < 116*time.Second || average > 123*time.Second {
		t.Errorf("late by %s on average", average)
	}
}

// TestGrowingNeedsNoMemory: neither for the existing events nor for those of years of growth.
func TestGrowingNeedsNoMemory(t *testing.T) {
	c := Config{Events: 30_000_000, Newest: day(1), Live: Live{Rate: 50, LateShare: 0.05, LateBy: 2 * time.Minute}}
	d, err := NewData(c)
	if err != nil {
		t.Fatal(err)
	}
	now := day(1).AddDate(3, 0, 0)
	grown := now.Sub(day(1)).Seconds() * 50
	if n := float64(d.At(now).Events() - d.history); n < grown-2000 || n > grown {
		t.Errorf("%.0f events have come in three years, want nearly %.0f", n, grown)
	}
	if allocated := testing.AllocsPerRun(10, func() { d.At(now).Events() }); allocated > 0 {
		t.Errorf("%v allocations", allocated)
	}
	minute := now.Add(-time.Minute).UnixMicro()
	if allocated := testing.AllocsPerRun(10, func() { d.At(now).Truth(minute, Future) }); allocated > 50 {
		t.Errorf("%v allocations", allocated)
	}
}

// The oldest events of a source with a retention are gone, for every way to look at it.
func TestForgetting(t *testing.T) {
	d, err := NewData(Config{Events: 100, Newest: synced, Ties: []Tie{{Events: 10, At: synced.AddDate(0, 0, -29)}}, Live: Live{Rate: 1, Forget: 2}})
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]int64{-time.Hour: 0, 0: 0, 10 * time.Second: 20, time.Hour: 3700} {
		v := d.At(synced.Add(after))
		first, end := v.Serials()
		if first > want || first < want-10 || first > 0 && first < end && d.Event(first-1).OrderMS == d.Event(first).OrderMS {
			t.Errorf("after %s the first of %d is %d, want about %d", after, end, first, want)
		}
		if n := v.Truth(Past, Future).Rows; n != end-first || v.Events() != n {
			t.Errorf("after %s: %d rows of %d events, want %d", after, n, v.Events(), end-first)
		}
		if _, found := v.Find(d.Event(0).ID); found != (first == 0) {
			t.Errorf("after %s the oldest is found: %v", after, found)
		}
	}
}

func TestGrowingSettings(t *testing.T) {
	for want, l := range map[string]Live{
		"Live.Rate: -1 events":                  {Rate: -1},
		"Live.Forget: -1 events":                {Forget: -1},
		"Live.Rate: 1e+06 events":               {Rate: 1e6},
		"late events need a Live.Rate":          {LateShare: 0.1, LateBy: time.Minute},
		"need both LateShare and a positive":    {Rate: 1, LateShare: 0.1},
		"positive LateBy, not 0 and 1m0s":       {Rate: 1, LateBy: time.Minute},
		"LateMost: 1s is less than LateBy, 1m0": {Rate: 1, LateShare: 0.1, LateBy: time.Minute, LateMost: time.Second},
		"more than 1000000 that may still come": {Rate: 1000, LateShare: 0.1, LateBy: time.Hour},
		"Live.LateShare: 2 is not 0 to 1":       {Rate: 1, LateShare: 2, LateBy: time.Minute},
	} {
		if _, err := NewData(Config{Live: l}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", l, err, want)
		}
	}
	c := Config{Seed: 1, Newest: synced, Live: Live{Rate: 0.5, LateShare: 0.05, LateBy: 2 * time.Minute}}
	const want = "simulator:v2,seed=1,n=3000000,span=944089980631-946684800000,live=0.5,late=0.05@2m0s<10m0s"
	if got := c.Source(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
