package main

import (
	"context"
	"fmt"
)

// trio is one whole and the floors around it: what the machine gave before, and what it gave after.
type trio struct{ before, whole, after load }

// measureWhole loads everything, again and again, between floors, and once more to count the client's allocations.
func measureWhole(ctx context.Context, s *stand) ([]Figure, error) {
	if err := s.warm(ctx); err != nil {
		return nil, err
	}
	trios := make([]trio, s.repeat)
	for i := range trios {
		var err error
		if trios[i], err = s.trio(ctx); err != nil {
			return nil, err
		}
		s.say("%d of %d: %s", i+1, s.repeat, &trios[i])
	}
	counted, err := s.countAllocations(ctx)
	return append(wholeFigures(s.shards, trios), allocationFigures(counted)...), err
}

// trio measures floor, whole, floor.
func (s *stand) trio(ctx context.Context) (t trio, err error) {
	if t.before, err = s.floor(ctx); err != nil {
		return t, err
	}
	if t.whole, err = s.ingest(ctx, s.data, s.shards, nil); err != nil {
		return t, err
	}
	t.after, err = s.floor(ctx)
	return t, err
}

func (t *trio) String() string {
	return fmt.Sprintf("floor %.0f, whole %.0f, floor %.0f thousand rows/s; %.2f µs CPU a row of the client and %.2f of PostgreSQL, whose floor is %.2f; others had %.2f, %.2f, %.2f cores",
		t.before.thousands(), t.whole.thousands(), t.after.thousands(), t.whole.micros(t.whole.client), t.whole.micros(t.whole.postgres),
		t.floorCPU(), t.before.others, t.whole.others, t.after.others)
}

// thousands of the floors around the whole: their mean.
func (t trio) floor() float64 { return (t.before.thousands() + t.after.thousands()) / 2 }

// floorCPU is the database's CPU a row of the floors around the whole.
func (t trio) floorCPU() float64 {
	return (t.before.micros(t.before.postgres) + t.after.micros(t.after.postgres)) / 2
}

func each(trios []trio, of func(trio) float64) Sample {
	s := make(Sample, len(trios))
	for i, t := range trios {
		s[i] = of(t)
	}
	return s
}

// Units and the names of what figures stand beside.
const (
	thousandRows = "k rows/s"
	microsARow   = "µs CPU/row"
	mebibytes    = "MiB"
	theFloor     = "floor"
	itsCPU       = "floor's"
)

// The goals (issue 4): the share of the floor that a run reaches, the client's CPU a row, and the most memory that a run may
// take, whatever it loads.
const (
	floorGoal = 0.75
	cpuGoal   = 1.5
	peakGoal  = 256
)

func wholeFigures(shards int, trios []trio) []Figure {
	sample := func(of func(trio) float64) Sample { return each(trios, of) }
	named := func(what string) string { return fmt.Sprintf("%s, shards=%d", what, shards) }
	ratio := func(of func(load) float64) Sample {
		return sample(func(t trio) float64 { return of(t.whole) / t.floor() })
	}
	postgres := sample(func(t trio) float64 { return t.whole.micros(t.whole.postgres) })
	databaseRatio := sample(func(t trio) float64 { return t.whole.micros(t.whole.postgres) / t.floorCPU() })
	return []Figure{
		floors(trios).figure("floor: COPY from a file, 2 sessions", thousandRows),
		sample(trio.floorCPU).figure("floor: PostgreSQL", microsARow),
		sample(func(t trio) float64 { return t.whole.thousands() }).figure(named("start to exit"), thousandRows).
			beside(theFloor, ratio(load.thousands)).atLeast(floorGoal),
		sample(func(t trio) float64 { return t.whole.ingested() }).figure(named("first attempt to last commit"), thousandRows).
			beside(theFloor, ratio(load.ingested)).atLeast(floorGoal),
		sample(func(t trio) float64 { return t.whole.rowsACommit() }).figure(named("rows a commit"), "rows"),
		sample(func(t trio) float64 { return t.whole.micros(t.whole.client) }).figure("sluice", microsARow).atMost(cpuGoal),
		postgres.figure("PostgreSQL", microsARow).beside(itsCPU, databaseRatio),
		sample(func(t trio) float64 { return t.whole.micros(t.whole.simulator) }).figure("simulator", microsARow),
		sample(func(t trio) float64 { return t.whole.mebibytes() }).figure(named("peak memory"), mebibytes).atMost(peakGoal),
		strangers(trios).figure("taken by others on this machine", "cores"),
	}
}

// strangers is how much CPU other processes had, in every load: with more than a little of it, the figures are worth little.
func strangers(trios []trio) Sample {
	var s Sample
	for _, t := range trios {
		s = append(s, t.before.others, t.whole.others, t.after.others)
	}
	return s
}

// floors are all that were measured.
func floors(trios []trio) Sample {
	var s Sample
	for _, t := range trios {
		s = append(s, t.before.thousands(), t.after.thousands())
	}
	return s
}
