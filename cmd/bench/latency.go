package main

import (
	"context"
	"fmt"
	"time"
)

// pageRows is how many events the simulator puts into a page.
const pageRows = 5000

// waiting is a latency, and how many pages each shard reads with it.
type waiting struct {
	page   time.Duration
	pages  int
	shards []int
}

// measureLatency draws how the work scales with shards where each page takes its time: every shard has as many pages, so that
// the perfect program takes as long with 32 as with one.
func measureLatency(ctx context.Context, r *rig) ([]Figure, error) {
	var all []Figure
	for _, wait := range r.waits {
		var loads []load
		for _, group := range wait.concurrent() {
			r.log("pages of %s, shards=%v at the same time", wait.page, group)
			trials := make([]trial, len(group))
			for i, shards := range group {
				var err error
				if trials[i], err = r.slowTrial(wait, shards, 0); err != nil {
					return nil, err
				}
			}
			measured, err := r.together(ctx, trials)
			if err != nil {
				return nil, err
			}
			loads = append(loads, measured...)
		}
		all = append(all, latencyFigures(wait, loads)...)
	}
	skewed, err := r.skewedWait(ctx, r.waits[0])
	return append(all, skewed...), err
}

// calm is how many rows a second leave the machine so idle that runs do not slow each other down.
const calm = 60_000

// concurrent groups the runs that wait nearly all the time, and so are measured together: numbers of shards.
func (wait waiting) concurrent() [][]int {
	var groups [][]int
	room := 0.0
	for _, shards := range wait.shards {
		speed := float64(shards*pageRows) / wait.page.Seconds()
		if speed > room {
			groups, room = append(groups, nil), calm
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], shards)
		room -= speed
	}
	return groups
}

// slowTrial has wait.pages pages for each shard, nearly full: windows that are a little heavier than others have no page more.
func (r *rig) slowTrial(wait waiting, shards int, skew float64) (trial, error) {
	data, err := newDataset(int64(shards*wait.pages)*pageRows*9/10, skew)
	t := r.usual(data, shards)
	t.simulator = []string{fmt.Sprintf("--latency=%s", wait.page), fmt.Sprintf("--page-cap=%d", pageRows)}
	t.flags = append([]string{fmt.Sprintf("--fetchers=%d", shards)}, t.flags...)
	return t, err
}

// skewedWait compares a load of which half is in one hour with an even one.
func (r *rig) skewedWait(ctx context.Context, wait waiting) ([]Figure, error) {
	var loads [2]load
	for i, skew := range []float64{skewShare, 0} {
		t, err := r.slowTrial(wait, usualShards, skew)
		if err != nil {
			return nil, err
		}
		if loads[i], err = r.run(ctx, t); err != nil {
			return nil, err
		}
	}
	return []Figure{skewFigure("pages of "+wait.page.String(), loads[0], loads[1])}, nil
}

// latencyGoals are for pages as slow as the real API's: how many times as fast as one shard (issue 4).
var latencyGoals = map[int]float64{8: 7.5, 32: 28}

// realPage is about what a page of the real API takes.
const realPage = 3 * time.Second

// latencyFigures set every number of shards beside the first, which is one.
func latencyFigures(wait waiting, loads []load) []Figure {
	all := make([]Figure, len(loads))
	for i, l := range loads {
		shards := wait.shards[i]
		all[i] = figure(fmt.Sprintf("pages of %s, shards=%d", wait.page, shards), thousandRows, l.ingested()).
			beside("one shard", l.ingested()/loads[0].ingested()).at(latencyPanel, "pages of "+wait.page.String(), shards)
		if goal, ok := latencyGoals[shards]; ok && wait.page >= realPage {
			all[i] = all[i].atLeast(goal)
		}
	}
	return all
}
