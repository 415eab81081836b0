package main

import (
	"math"
	"testing"
	"time"
)

func TestQuotaPagesAreWhatTheTimeAllows(t *testing.T) {
	for shards, want := range map[int]int64{1: 181, 2: 363, 8: 600, 64: 600} {
		if got := (quotaRun{pace: fastPace, shards: shards}).pages(time.Minute); got != want {
			t.Errorf("shards=%d: got %d pages, want %d", shards, got, want)
		}
		if got := (quotaRun{pace: truePace, shards: shards}).pages(10 * time.Minute); got != want {
			t.Errorf("shards=%d, true pace: got %d pages, want %d", shards, got, want)
		}
	}
}

func TestUsedWeighsBothQuotas(t *testing.T) {
	known := load{ingest: 625 * time.Second, requests: requests{List: 5, Stream: 5, ListUsed: 0.4, StreamUsed: 1}}
	hidden := load{ingest: 12 * time.Second, requests: requests{List: 10, ListUsed: 0.9, Stream: 60}}
	for _, c := range []struct {
		of         quotaRun
		load       load
		want       float64
		whatOfThat string
	}{
		{quotaRun{truePace, 8, true}, known, 0.9, "known"},
		{quotaRun{fastPace, 2, false}, hidden, (10*0.9 + 50*0.6) / 60, "the stream's was never known"},
	} {
		if got := c.of.used(c.load); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", c.whatOfThat, got, c.want)
		}
	}
}

func TestFiguresOfALoad(t *testing.T) {
	l := load{rows: 1_000_000, wall: 8 * time.Second, ingest: 4 * time.Second, postgres: 6 * time.Second, client: 3 * time.Second, peak: 200 << 20, commits: 100}
	for i, want := range []float64{125, 250, 3, 6, 200, 10_000, 0} {
		if f := l.figures(1.5)[i]; f.value != want {
			t.Errorf("%v %s, want %v", f.value, f.unit, want)
		}
	}
}
