package shard

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// instants of 1650 to 2290, on both sides of 1970.
func drawInstant(t *rapid.T, name string) Instant {
	return Instant(rapid.Int64Range(-1e16, 1e16).Draw(t, name))
}

func TestInstantMilli(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		i := drawInstant(rt, "i")
		if ms := i.CeilMilli(); Instant(ms*1000) < i || Instant(ms*1000-1000) >= i {
			rt.Fatalf("CeilMilli of %d µs is %d ms", i, ms)
		}
		if ms := i.NextMilli(); Instant(ms*1000) <= i || Instant(ms*1000-1000) > i {
			rt.Fatalf("NextMilli of %d µs is %d ms", i, ms)
		}
	})
}

func TestInstantIsCutNotRounded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at := time.Unix(rapid.Int64Range(-1e10, 1e10).Draw(rt, "s"), rapid.Int64Range(0, 999_999_999).Draw(rt, "ns"))
		i := InstantOf(at)
		if late := at.Sub(i.Time()); late < 0 || late >= time.Microsecond {
			rt.Fatalf("%s became %s", at.UTC(), i)
		}
		if InstantOf(i.Time()) != i {
			rt.Fatalf("%s does not survive a round trip", i)
		}
	})
}

func TestInstantText(t *testing.T) {
	for want, i := range map[string]Instant{
		"-infinity": Past, "infinity": Future, "1970-01-01T00:00:00Z": 0,
		"1969-12-31T23:59:59.999999Z": -1, "1970-01-01T00:00:00.0015Z": 1500,
	} {
		if got := i.String(); got != want {
			t.Errorf("%d is %s, want %s", int64(i), got, want)
		}
	}
	if Past.Finite() || Future.Finite() || !Instant(0).Finite() {
		t.Error("only the open ends are not finite")
	}
}

func TestWindowsShareNoInstant(t *testing.T) {
	a, b := Window{Past, 1000}, Window{1000, Future}
	for _, i := range []Instant{Past, 0, 999, 1000, 1001, Future - 1} {
		if a.Contains(i) == b.Contains(i) {
			t.Errorf("%s lies in both windows or in none", i)
		}
	}
}

func TestPlaceUntil(t *testing.T) {
	key := func(i Instant) Key { return Key{At: i, ID: idOf(1)} }
	for name, c := range map[string]struct {
		place   Position
		ms      int64
		bounded bool
	}{
		"end on a millisecond":            {Position{End: 5000}, 5, true},
		"end inside one":                  {Position{End: 5001}, 6, true},
		"end before 1970":                 {Position{End: -5001}, -5, true},
		"resume on a millisecond":         {Position{End: 9000, Resume: key(5000)}, 6, true},
		"resume inside one":               {Position{End: 9000, Resume: key(5999)}, 6, true},
		"resume in an open window":        {Position{End: Future, Resume: key(5999)}, 6, true},
		"resume before 1970":              {Position{End: Future, Resume: key(-1)}, 0, true},
		"resume at 1970":                  {Position{End: Future, Resume: key(0)}, 1, true},
		"resume newer than the window":    {Position{End: 9000, Resume: key(9000)}, 9, true},
		"an open window, nothing read":    {Position{End: Future}, 0, false},
		"resume in the end's own instant": {Position{End: 9000, Resume: key(8999)}, 9, true},
	} {
		ms, bounded := c.place.Until()
		if bounded != c.bounded || bounded && ms != c.ms {
			t.Errorf("%s: until %d, %t; want %d, %t", name, ms, bounded, c.ms, c.bounded)
		}
	}
}

// Whatever the API makes of `until`, what comes after the place is not lost.
func TestPlaceUntilLosesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		place := Position{End: drawInstant(rt, "end")}
		bound := place.End - 1 // the newest instant that must be served
		if rapid.Bool().Draw(rt, "resume") {
			place.Resume = Key{At: place.End - Instant(rapid.Int64Range(1, 1e7).Draw(rt, "before")), ID: idOf(1)}
			bound = place.Resume.At
		}
		ms, _ := place.Until()
		if bound >= Instant(ms*1000) {
			rt.Fatalf("until %d ms would not serve %d µs", ms, bound)
		}
		if Instant(ms*1000) > bound+1001 {
			rt.Fatalf("until %d ms is more than a millisecond beyond %d µs", ms, bound)
		}
	})
}
