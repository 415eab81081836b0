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
