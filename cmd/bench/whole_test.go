package main

import (
	"math"
	"testing"
	"time"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// loaded is a load of a million rows.
func loaded(wall time.Duration, postgres time.Duration) load {
	return load{rows: 1_000_000, wall: wall, ingest: wall / 2, postgres: postgres, client: 3 * time.Second, peak: 200 << 20, commits: 100}
}

func figureOf(t *testing.T, all []Figure, name, unit string) Figure {
	t.Helper()
	for _, f := range all {
		if f.Name == name && f.Unit == unit {
			return f
		}
	}
	t.Fatalf("no figure %s in %s", name, unit)
	return Figure{}
}

func TestARunStandsBesideTheFloorsAroundIt(t *testing.T) {
	floor := func(wall time.Duration) load { return loaded(wall, 4*time.Second) }
	all := wholeFigures(trio{usualShards, floor(2 * time.Second), loaded(8*time.Second, 6*time.Second), floor(6 * time.Second)})
	whole := figureOf(t, all, "start to exit, shards=8", thousandRows)
	near(t, "speed", whole.Value, 125)
	near(t, "ratio", whole.Ratio, 125/((500+1000/6.)/2))
	near(t, "ingest", figureOf(t, all, "first attempt to last commit, shards=8", thousandRows).Ratio, 2*whole.Ratio)
	near(t, "PostgreSQL", figureOf(t, all, "PostgreSQL, shards=8", microsARow).Ratio, 1.5)
	near(t, "client", figureOf(t, all, "sluice, shards=8", microsARow).Value, 3)
	near(t, "commits", figureOf(t, all, "rows a commit, shards=8", "rows").Value, 10_000)
	near(t, "memory", figureOf(t, all, "peak memory, shards=8", mebibytes).Value, 200)
	if *whole.Point != (Point{machinePanel, "start to exit", 8}) || whole.met() {
		t.Errorf("%+v", whole)
	}
	for _, f := range wholeFigures(trio{1, floor(1), loaded(1, 1), floor(1)}) {
		if (f.Goal != nil) != (f.Unit == mebibytes) {
			t.Errorf("a goal for one shard: %+v", f)
		}
	}
}

func TestSkewIsHeldAgainstTheEvenRun(t *testing.T) {
	near(t, "skew", skewFigure("no limits", load{ingest: 9 * time.Second}, load{ingest: 6 * time.Second}).Ratio, 1.5)
}

func TestTheCheckoutStandsBesideTheBinary(t *testing.T) {
	old, now := loaded(8*time.Second, 4*time.Second), loaded(4*time.Second, 3*time.Second)
	all := binaryFigures(8, old, now)
	f := figureOf(t, all, "PostgreSQL, shards=8, checkout", microsARow)
	near(t, "CPU", f.Value, 3)
	near(t, "ratio", f.Ratio, 0.75)
	near(t, "old", figureOf(t, all, "PostgreSQL, shards=8, -binary", microsARow).Value, 4)
	near(t, "both", figureOf(t, all, "client and PostgreSQL, shards=8, checkout", microsARow).Ratio, 6./7)
	near(t, "speed", figureOf(t, all, "start to exit, shards=8, checkout", thousandRows).Ratio, 2)
}

func TestSizesStandBesideTheSmallest(t *testing.T) {
	small, large := load{rows: 1000, client: 3 * time.Millisecond}, load{rows: 10_000, client: 60 * time.Millisecond}
	first := figureOf(t, sizeFigures(small, small), "sluice, 1,000 events", microsARow)
	second := figureOf(t, sizeFigures(large, small), "sluice, 10,000 events", microsARow)
	near(t, "smallest", first.Value, 3)
	near(t, "ratio", second.Ratio, 2)
	if first.Beside != "" || second.met() {
		t.Errorf("%+v, %+v", first, second)
	}
}
