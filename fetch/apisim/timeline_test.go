package apisim

import (
	"math"
	"testing"
	"time"
)

func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

// small is a set with everything uncommon in it that does not make records wrong.
func small() Config {
	return Config{
		Seed: 7, Events: 6_000, Oldest: day(1), Newest: day(3),
		SkewShare: 0.5, SkewStart: day(1).Add(5 * time.Hour),
		Ties: []Tie{{400, day(2)}, {3, day(2).Add(time.Millisecond)}, {50, day(1)}, {60, day(3)}},
	}
}

func TestWalksAreCompleteAndOrdered(t *testing.T) {
	for name, c := range map[string]Config{
		"small": small(), "one": {Events: 1}, "two": {Events: 2}, "none": {Events: None},
		"sparse": {Events: 100}, "dense": {Events: 2000, Oldest: day(1), Newest: day(1).Add(40 * time.Millisecond)},
		"instant": {Events: 300, Oldest: day(1), Newest: day(1)},
		"crowded": {Events: 3000, Oldest: day(1), Newest: day(3), SkewShare: 1, SkewStart: day(2)},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, c)
			want := a.Data().Truth(Past, Future)
			if events := max(c.Events, 0); want.Rows != events {
				t.Fatalf("%d rows of %d events", want.Rows, events)
			}
			for _, e := range []Endpoint{List, Feed} {
				rows := parse(t, a.walk(e, "limit", "137"))
				ordered(t, rows)
				if int64(len(rows)) != want.Rows {
					t.Errorf("%s: %d rows, want %d", e, len(rows), want.Rows)
				}
				if got := sum(rows, Past, Future); got != want {
					t.Errorf("%s: %v, want %v", e, got, want)
				}
			}
		})
	}
}

func TestTruthOfWindows(t *testing.T) {
	a := start(t, small())
	rows := parse(t, a.walk(List, "limit", "5000"))
	tie := day(2).UnixMicro()
	for _, w := range [][2]int64{
		{Past, tie}, {tie, Future}, {tie, tie + 1}, {tie - 1, tie}, {tie + 1, tie + 1001}, {tie, tie + 1000},
		{day(1).UnixMicro(), day(3).UnixMicro()}, {day(1).Add(5 * time.Hour).UnixMicro(), day(1).Add(6 * time.Hour).UnixMicro()},
		{day(4).UnixMicro(), Future}, {Past, day(1).UnixMicro()}, {tie, tie},
	} {
		if got, want := a.Data().Truth(w[0], w[1]), sum(rows, w[0], w[1]); got != want {
			t.Errorf("[%d, %d): %v, want %v", w[0], w[1], got, want)
		}
	}
}

// TestArrivalsAreThoseOfTheRecordedData: the newest recorded page of 5,000 has gaps of 1,114 ms with a standard deviation of 2,417, and
// 57 events in its newest ten minutes. Independent arrivals in 30 days put some 1,740 pairs into one millisecond.
func TestArrivalsAreThoseOfTheRecordedData(t *testing.T) {
	for seed := range uint64(4) {
		d, err := NewData(Config{Seed: 1 + seed})
		if err != nil {
			t.Fatal(err)
		}
		const page = 5_000
		var sum, squares float64
		ties, newest := 0, 0
		end, later := d.timeline.at(d.Events()-1), int64(math.MaxInt64)
		for i := int64(1); i <= d.Events(); i++ {
			at := d.timeline.at(d.Events() - i)
			switch gap := float64(later - at); {
			case gap < 0:
				t.Fatalf("the event %d is newer than the next", d.Events()-i)
			case gap == 0:
				ties++
			case i > 1 && i <= page:
				sum, squares = sum+gap, squares+gap*gap
			}
			if later = at; end-at < (10 * time.Minute).Milliseconds() {
				newest++
			}
		}
		mean := sum / (page - 1)
		spread := math.Sqrt(squares/(page-1) - mean*mean)
		if mean < 1_000 || mean > 1_400 || spread < 1_800 || spread > 3_000 || ties < 1_500 || ties > 2_000 || newest < 30 || newest > 90 {
			t.Errorf("seed %d: gaps of %.0f ms with a deviation of %.0f, %d ties, %d events in the newest ten minutes", 1+seed, mean, spread, ties, newest)
		}
	}
}
