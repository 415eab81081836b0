package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// pageRows is how many events the simulator puts into a page.
const pageRows = 5000

// measureLatency draws how the work scales with shards where each page takes its time: every shard has as many pages, so that
// the perfect program takes as long with 32 as with one.
func measureLatency(ctx context.Context, s *stand) ([]Figure, error) {
	var all []Figure
	for _, wait := range s.waits {
		loads := make([]load, len(wait.shards))
		for _, group := range wait.together() {
			s.say("pages of %s, %d runs beside one another, up to shards=%d", wait.page, len(group), wait.shards[group[len(group)-1]])
			if err := s.waitOut(ctx, wait, group, loads); err != nil {
				return nil, err
			}
		}
		all = append(all, latencyFigures(wait, loads)...)
	}
	return all, nil
}

// calm is how many rows a second leave the machine so idle that runs do not feel one another.
const calm = 60_000

// together groups the numbers of shards that are run at the same time: those that wait nearly all the time. It returns places in
// wait.shards.
func (w waiting) together() [][]int {
	var groups [][]int
	room := 0.0
	for i, shards := range w.shards {
		speed := float64(shards*pageRows) / w.page.Seconds()
		if speed > room {
			groups, room = append(groups, nil), calm
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], i)
		room -= speed
	}
	return groups
}

// waitOut runs a group, and checks the rows when all are through.
func (s *stand) waitOut(ctx context.Context, wait waiting, group []int, loads []load) error {
	worlds := make([]*world, len(group))
	for n, i := range group {
		w, err := s.slowWorld(ctx, wait.page, wait.shards[i]*wait.pages, 0)
		if err != nil {
			return err
		}
		defer w.close(ctx)
		worlds[n] = w
	}
	all, running := errgroup.WithContext(ctx)
	for n, i := range group {
		all.Go(func() (err error) {
			shards := wait.shards[i]
			loads[i], err = worlds[n].ingest(running, shards, append(unlimited, fmt.Sprintf("--fetchers=%d", shards))...)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	return checkAll(ctx, worlds)
}

// slowWorld has as many pages, all but full: so that windows which are a little heavier than others have no page more.
func (s *stand) slowWorld(ctx context.Context, page time.Duration, pages int, skew float64) (*world, error) {
	data, err := know(int64(pages)*pageRows*9/10, skew)
	if err != nil {
		return nil, err
	}
	return s.newWorld(ctx, data, fmt.Sprintf("--latency=%s", page), fmt.Sprintf("--page-cap=%d", pageRows))
}

func checkAll(ctx context.Context, worlds []*world) error {
	for _, w := range worlds {
		if err := w.check(ctx); err != nil {
			return err
		}
	}
	return nil
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
		f := Sample{l.ingested()}.figure(fmt.Sprintf("pages of %s, shards=%d", wait.page, shards), thousandRows).
			beside("one shard", Sample{l.ingested() / loads[0].ingested()}).
			at(latencyPanel, "pages of "+wait.page.String(), shards)
		if goal, ok := latencyGoals[shards]; ok && wait.page >= realPage {
			f = f.atLeast(goal)
		}
		all[i] = f
	}
	return all
}
