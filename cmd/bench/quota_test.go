package main

import (
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

func TestQuotaFiguresWeighBothQuotas(t *testing.T) {
	run := quotaRun{truePace, 8, true, load{rows: 250_000, ingest: 625 * time.Second, requests: requests{
		List: 5, Stream: 5, ListUsed: 0.4, StreamUsed: 1, ListRefused: 1, StreamRefused: 2}}}
	few := quotaRun{fastPace, 2, false, load{rows: 1, ingest: 12 * time.Second, requests: requests{List: 10, ListUsed: 0.9, Stream: 60}}}
	all := quotaFigures([]quotaRun{run, few})
	used := figureOf(t, all, "requests, shards=8, known limits", unitShare)
	near(t, "used", used.Value, 0.9)
	near(t, "refused", figureOf(t, all, "429s, shards=8, known limits", unitRequests).Value, 3)
	near(t, "speed", figureOf(t, all, "first attempt to last commit, shards=8, known limits", thousandRows).Ratio, 0.8)
	if used.met() || *used.Point != (Point{quotaPanel, "known limits", 8}) {
		t.Errorf("%+v", used)
	}
	run.pace = fastPace
	if f := quotaFigures([]quotaRun{run})[0]; f.Goal != nil {
		t.Errorf("a goal at a pace that Sluice cannot know: %+v", f)
	}
	hidden := figureOf(t, all, "requests, shards=2, hidden limits", unitShare)
	near(t, "used of a quota that was not known", hidden.Value, (10*0.9+50*0.6)/60)
	if f := hidden; f.Goal != nil || f.Point.Curve != "a hidden limit" {
		t.Errorf("%+v", f)
	}
}
