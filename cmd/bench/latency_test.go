package main

import (
	"testing"
	"time"
)

func TestRunsAtATimeLeaveTheMachineIdle(t *testing.T) {
	slow := waiting{3200 * time.Millisecond, 8, []int{1, 2, 4, 8, 16, 32}}
	if got := slow.concurrent(); len(got) != 2 || len(got[0]) != 5 || len(got[1]) != 1 || got[1][0] != 32 {
		t.Errorf("%v", got)
	}
	fast := waiting{200 * time.Millisecond, 8, []int{1, 2, 4}}
	if got := fast.concurrent(); len(got) != 3 || got[2][0] != 4 {
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
