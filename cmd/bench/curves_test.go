package main

import (
	"testing"
	"time"
)

func TestShardsStandBesideTheFloorsAroundThem(t *testing.T) {
	floor := func(wall time.Duration) load { return loaded(wall, 4*time.Second) }
	steps := []step{
		{1, trio{floor(2 * time.Second), loaded(8*time.Second, 6*time.Second), floor(6 * time.Second)}},
		{8, trio{floor(6 * time.Second), loaded(5*time.Second, 6*time.Second), floor(2 * time.Second)}},
	}
	all := shardFigures(steps)
	one, eight := figureOf(t, all, "start to exit, shards=1", thousandRows), figureOf(t, all, "start to exit, shards=8", thousandRows)
	near(t, "one", one.Ratio, 125/((500+1000/6.)/2))
	near(t, "eight", eight.Ratio, 200/((500+1000/6.)/2))
	near(t, "PostgreSQL", figureOf(t, all, "PostgreSQL, shards=8", microsARow).Ratio, 1.5)
	if *eight.Point != (Point{machinePanel, "start to exit", 8}) {
		t.Errorf("%+v", eight.Point)
	}
	if best := fastest(steps); best.wall != 5*time.Second {
		t.Errorf("the fastest took %s", best.wall)
	}
}

func TestTheOldWayIsHeldAgainstTheFastest(t *testing.T) {
	old, sluice := loaded(40*time.Second, 9*time.Second), loaded(5*time.Second, 3*time.Second)
	all := oldFigures(old, sluice)
	near(t, "speed", all[0].Ratio, 0.125)
	near(t, "CPU", all[1].Ratio, 2)
	if all[0].met() {
		t.Error("an eighth is more than a tenth, and yet the goal is met")
	}
}

func TestTogetherLeavesTheMachineIdle(t *testing.T) {
	slow := waiting{3200 * time.Millisecond, 8, []int{1, 2, 4, 8, 16, 32}}
	if got := slow.together(); len(got) != 2 || len(got[0]) != 5 || len(got[1]) != 1 || got[1][0] != 5 {
		t.Errorf("%v", got)
	}
	fast := waiting{200 * time.Millisecond, 8, []int{1, 2, 4}}
	if got := fast.together(); len(got) != 3 || got[2][0] != 2 {
		t.Errorf("%v", got)
	}
}

func TestLatencyStandsBesideOneShard(t *testing.T) {
	wait := waiting{3200 * time.Millisecond, 8, []int{1, 8}}
	one, eight := loaded(80*time.Second, 0), loaded(11*time.Second, 0)
	all := latencyFigures(wait, []load{one, eight})
	near(t, "ratio", all[1].Ratio, 80./11)
	if all[0].Goal != nil || all[1].Goal == nil || all[1].met() {
		t.Errorf("%+v, %+v", all[0], all[1])
	}
	wait.page = 200 * time.Millisecond
	if all := latencyFigures(wait, []load{one, eight}); all[1].Goal != nil {
		t.Error("a goal where the machine is the limit")
	}
}

func TestQuotaPagesAreWhatTheTimeAllows(t *testing.T) {
	for shards, want := range map[int]int64{1: 181, 2: 363, 8: 600, 64: 600} {
		if got := (quotaRun{pace: fastPace, shards: shards}).pages(time.Minute); got != want {
			t.Errorf("shards=%d: %d pages, not %d", shards, got, want)
		}
		if got := (quotaRun{pace: truePace, shards: shards}).pages(10 * time.Minute); got != want {
			t.Errorf("shards=%d, true pace: %d pages, not %d", shards, got, want)
		}
	}
}

func TestQuotaFiguresWeighBothQuotas(t *testing.T) {
	run := quotaRun{truePace, 8, true, load{rows: 250_000, ingest: 625 * time.Second, asked: requests{
		List: 5, Stream: 5, ListUsed: 0.4, StreamUsed: 1, ListRefused: 1, StreamRefused: 2}}}
	few := quotaRun{fastPace, 2, false, load{rows: 1, ingest: 12 * time.Second, asked: requests{List: 10, ListUsed: 0.9, Stream: 60}}}
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

func TestSkewIsHeldAgainstTheEvenRunsAroundIt(t *testing.T) {
	took := func(s time.Duration) load { return load{ingest: s * time.Second} }
	machine, slow := contest{took(4), took(6), took(8)}, contest{took(4), took(10), took(4)}
	all := skewFigures(8, 200*time.Millisecond, machine, slow)
	near(t, "machine", all[0].Ratio, 1)
	near(t, "slow", all[1].Ratio, 2.5)
	if !all[0].met() || all[1].met() {
		t.Errorf("%+v", all)
	}
}

func TestDuplicatesStandBesideFresh(t *testing.T) {
	all := duplicateFigures(8, loaded(4*time.Second, 0), loaded(8*time.Second, 5*time.Second))
	near(t, "ratio", figureOf(t, all, "all duplicates, shards=8", thousandRows).Ratio, 0.5)
	near(t, "PostgreSQL", figureOf(t, all, "all duplicates: PostgreSQL", microsARow).Value, 5)
}

func TestSizesStandBesideTheSmallest(t *testing.T) {
	small := []load{{rows: 1000, client: 2 * time.Millisecond}, {rows: 1000, client: 4 * time.Millisecond}, {rows: 1000, client: 3 * time.Millisecond}}
	large := []load{{rows: 10_000, client: 60 * time.Millisecond}}
	all := sizeFigures([]int64{1000, 10_000}, [][]load{small, large})
	first, second := figureOf(t, all, "sluice, 1,000 events", microsARow), figureOf(t, all, "sluice, 10,000 events", microsARow)
	near(t, "smallest", first.Value, 3)
	near(t, "ratio", second.Ratio, 2)
	if first.Beside != "" || second.met() {
		t.Errorf("%+v, %+v", first, second)
	}
}

func TestAWatchedRunStandsBesideTheOnesAroundIt(t *testing.T) {
	c := contest{loaded(4*time.Second, 0), loaded(6*time.Second, 0), loaded(6*time.Second, 0)}
	c.load.client = 4500 * time.Millisecond
	all := watchedFigures(8, c)
	near(t, "time", all[0].Ratio, 1.2)
	near(t, "CPU", all[1].Ratio, 1.5)
}
