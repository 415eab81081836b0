package main

import (
	"context"
	"fmt"
)

// flatGoal is how many times the CPU an event of the smallest size the client may take at another.
const flatGoal = 1.1

// measureSize loads more and more. The smallest, which is over soon, counts by the median of several.
func measureSize(ctx context.Context, s *stand) ([]Figure, error) {
	loads := make([][]load, len(s.sizes))
	for i, events := range s.sizes {
		data, err := know(events, 0)
		if err != nil {
			return nil, err
		}
		for range sizeRepeats(i) {
			l, err := s.ingest(ctx, data, s.shards, nil)
			if err != nil {
				return nil, err
			}
			loads[i] = append(loads[i], l)
		}
		s.say("%d events: %.0f thousand rows/s", events, loads[i][0].thousands())
	}
	return sizeFigures(s.sizes, loads), nil
}

func sizeRepeats(i int) int {
	if i == 0 {
		return 3
	}
	return 1
}

// sizeFigures set each size beside the smallest.
func sizeFigures(sizes []int64, loads [][]load) []Figure {
	client := func(l load) float64 { return l.micros(l.client) }
	server := func(l load) float64 { return l.micros(l.postgres) }
	var all []Figure
	for i, events := range sizes {
		named := func(what string) string { return fmt.Sprintf("%s, %s events", what, grouped(float64(events))) }
		ours := sampleOf(loads[i], client).figure(named("sluice"), microsARow)
		theirs := sampleOf(loads[i], server).figure(named("PostgreSQL"), microsARow)
		if i > 0 {
			smallest := "at " + grouped(float64(sizes[0]))
			ours = ours.beside(smallest, Sample{ours.Value / sampleOf(loads[0], client).median()}).atMost(flatGoal)
			theirs = theirs.beside(smallest, Sample{theirs.Value / sampleOf(loads[0], server).median()})
		}
		all = append(all, ours, theirs,
			sampleOf(loads[i], load.ingested).figure(named("first attempt to last commit"), thousandRows),
			sampleOf(loads[i], load.mebibytes).figure(named("peak memory"), mebibytes).atMost(peakGoal))
	}
	return all
}

func sampleOf(loads []load, of func(load) float64) Sample {
	s := make(Sample, len(loads))
	for i, l := range loads {
		s[i] = of(l)
	}
	return s
}
