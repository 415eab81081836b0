package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
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
		loads := make([]load, len(wait.shards))
		for _, group := range wait.concurrent() {
			r.log("pages of %s, %d runs at a time, up to shards=%d", wait.page, len(group), wait.shards[group[len(group)-1]])
			if err := r.waitTogether(ctx, wait, group, loads); err != nil {
				return nil, err
			}
		}
		all = append(all, latencyFigures(wait, loads)...)
	}
	skewed, err := r.skewedWait(ctx, r.waits[0])
	return append(all, skewed...), err
}

// calm is how many rows a second leave the machine so idle that runs do not slow each other down.
const calm = 60_000

// concurrent groups the runs that wait nearly all the time, and so are measured together. It returns indexes of wait.shards.
func (wait waiting) concurrent() [][]int {
	var groups [][]int
	room := 0.0
	for i, shards := range wait.shards {
		speed := float64(shards*pageRows) / wait.page.Seconds()
		if speed > room {
			groups, room = append(groups, nil), calm
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], i)
		room -= speed
	}
	return groups
}

// waitTogether runs a group, and checks the rows when all have ended.
func (r *rig) waitTogether(ctx context.Context, wait waiting, group []int, loads []load) error {
	worlds := make([]*world, len(group))
	for n, i := range group {
		w, err := r.slowWorld(ctx, wait, wait.shards[i], 0)
		if err != nil {
			return err
		}
		defer w.close(ctx)
		worlds[n] = w
	}
	all, running := errgroup.WithContext(ctx)
	for n, i := range group {
		all.Go(func() (err error) {
			loads[i], err = worlds[n].runFetchers(running, wait.shards[i])
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	return checkAll(ctx, worlds)
}

// slowWorld has wait.pages pages for each shard, nearly full: windows that are a little heavier than others have no page more.
func (r *rig) slowWorld(ctx context.Context, wait waiting, shards int, skew float64) (*world, error) {
	data, err := newDataset(int64(shards*wait.pages)*pageRows*9/10, skew)
	if err != nil {
		return nil, err
	}
	return r.newWorld(ctx, r.program, data, fmt.Sprintf("--latency=%s", wait.page), fmt.Sprintf("--page-cap=%d", pageRows))
}

func (w *world) runFetchers(ctx context.Context, shards int) (load, error) {
	return w.run(ctx, shards, append(unlimited, fmt.Sprintf("--fetchers=%d", shards))...)
}

func checkAll(ctx context.Context, worlds []*world) error {
	for _, w := range worlds {
		if err := w.check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// skewedWait compares a load of which half is in one hour with an even one.
func (r *rig) skewedWait(ctx context.Context, wait waiting) ([]Figure, error) {
	var loads [2]load
	for i, skew := range []float64{skewShare, 0} {
		w, err := r.slowWorld(ctx, wait, usualShards, skew)
		if err != nil {
			return nil, err
		}
		defer w.close(ctx)
		if loads[i], err = w.runFetchers(ctx, usualShards); err != nil {
			return nil, err
		}
		if err := w.check(ctx); err != nil {
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
