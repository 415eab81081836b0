package main

import (
	"math"
	"testing"
	"time"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
		t.Errorf("%s is %v, not %v", what, got, want)
	}
}

func TestSampleMedianAndSpread(t *testing.T) {
	for _, c := range []struct {
		sample         Sample
		median, spread float64
	}{
		{nil, 0, 0},
		{Sample{7}, 7, 0},
		{Sample{3, 1, 2}, 2, 1},
		{Sample{4, 1, 3, 2}, 2.5, 1.2},
		{Sample{0, 0}, 0, 0},
	} {
		near(t, "median", c.sample.median(), c.median)
		near(t, "spread", c.sample.spread(), c.spread)
	}
}

func TestSampleMedianLeavesTheOrderAlone(t *testing.T) {
	s := Sample{3, 1, 2}
	s.median()
	if s[0] != 3 || s[1] != 1 || s[2] != 2 {
		t.Error(s)
	}
}

func TestGoalBoundsTheRatioWhereThereIsOne(t *testing.T) {
	value := Sample{300}.figure("memory", mebibytes)
	ratio := Sample{300}.figure("speed", thousandRows).beside(theFloor, Sample{0.6})
	for _, c := range []struct {
		figure Figure
		met    bool
	}{
		{value, true},
		{value.atMost(256), false},
		{value.atMost(300), true},
		{ratio.atLeast(0.5), true},
		{ratio.atLeast(0.75), false},
	} {
		if c.figure.met() != c.met {
			t.Errorf("%+v with goal %v: %v", c.figure, c.figure.Goal, !c.met)
		}
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

// The machine is twice as fast in the second trio: speeds differ by that, the ratio does not.
func TestWholeIsSetBesideTheFloorOfTheSameMinute(t *testing.T) {
	trios := []trio{
		{loaded(4*time.Second, 4*time.Second), loaded(8*time.Second, 6*time.Second), loaded(4*time.Second, 4*time.Second)},
		{loaded(2*time.Second, 2*time.Second), loaded(4*time.Second, 3*time.Second), loaded(2*time.Second, 2*time.Second)},
	}
	all := wholeFigures(8, trios)
	whole := figureOf(t, all, "start to exit, shards=8", thousandRows)
	near(t, "whole", whole.Value, (125.0+250)/2)
	near(t, "spread", whole.Spread, 125/187.5)
	near(t, "ratio", whole.Ratio, 0.5)
	near(t, "ingest", figureOf(t, all, "first attempt to last commit, shards=8", thousandRows).Ratio, 1)
	near(t, "floor", figureOf(t, all, "floor: COPY from a file, 2 sessions", thousandRows).Value, 375)
	near(t, "PostgreSQL", figureOf(t, all, "PostgreSQL", microsARow).Ratio, 1.5)
	near(t, "client", figureOf(t, all, "sluice", microsARow).Value, 3)
	near(t, "commits", figureOf(t, all, "rows a commit, shards=8", "rows").Value, 10_000)
	near(t, "memory", figureOf(t, all, "peak memory, shards=8", mebibytes).Value, 200)
}
