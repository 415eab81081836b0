package shard

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPositionUntil(t *testing.T) {
	key := func(i Instant) Key { return Key{At: i, ID: idOf(1)} }
	for name, c := range map[string]struct {
		pos     Position
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
		ms, bounded := c.pos.Until()
		if bounded != c.bounded || bounded && ms != c.ms {
			t.Errorf("%s: until %d, %t; want %d, %t", name, ms, bounded, c.ms, c.bounded)
		}
	}
}

// Whatever the API makes of `until`, what comes after the position is not lost.
func TestPositionUntilLosesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pos := Position{End: drawInstant(rt, "end")}
		bound := pos.End - 1 // the newest instant that must be served
		if rapid.Bool().Draw(rt, "resume") {
			pos.Resume = Key{At: pos.End - Instant(rapid.Int64Range(1, 1e7).Draw(rt, "before")), ID: idOf(1)}
			bound = pos.Resume.At
		}
		ms, _ := pos.Until()
		if bound >= Instant(ms*1000) {
			rt.Fatalf("until %d ms would not serve %d µs", ms, bound)
		}
		if Instant(ms*1000) > bound+1001 {
			rt.Fatalf("until %d ms is more than a millisecond beyond %d µs", ms, bound)
		}
	})
}
