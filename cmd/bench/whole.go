package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// trio is one whole and the floors around it: what the machine gave before, and what it gave after.
type trio struct{ before, whole, after load }

// measureWhole loads everything, again and again, between floors; then once for each other number of shards.
func measureWhole(ctx context.Context, s *stand) ([]Figure, error) {
	trios, err := s.trios(ctx)
	if err != nil {
		return nil, err
	}
	others := make([]load, len(s.others))
	for i, shards := range s.others {
		if others[i], err = s.ingest(ctx, shards, nil); err != nil {
			return nil, fmt.Errorf("shards=%d: %w", shards, err)
		}
		s.say("shards=%d: %.0f thousand rows/s, %.0f MiB", shards, others[i].thousands(), others[i].mebibytes())
	}
	return slices.Concat(wholeFigures(s.shards, trios), otherFigures(s.others, others, trios)), nil
}

// trios measures floor, whole, floor. The first load of all only warms up, and gives the floor its rows.
func (s *stand) trios(ctx context.Context) ([]trio, error) {
	if s.repeat == 0 {
		return nil, nil
	}
	if _, err := s.ingest(ctx, s.shards, s.export); err != nil {
		return nil, err
	}
	trios := make([]trio, s.repeat)
	for i := range trios {
		t := &trios[i]
		var err error
		if t.before, err = s.floor(ctx); err != nil {
			return nil, err
		}
		if t.whole, err = s.ingest(ctx, s.shards, nil); err != nil {
			return nil, err
		}
		if t.after, err = s.floor(ctx); err != nil {
			return nil, err
		}
		s.say("%d of %d: floor %.0f, whole %.0f, floor %.0f thousand rows/s; others had %.2f, %.2f, %.2f cores", i+1, s.repeat,
			t.before.thousands(), t.whole.thousands(), t.after.thousands(), t.before.others, t.whole.others, t.after.others)
	}
	return trios, nil
}

func (l load) thousands() float64 { return float64(l.rows) / l.wall.Seconds() / 1000 }
func (l load) ingested() float64  { return float64(l.rows) / l.ingest.Seconds() / 1000 }
func (l load) mebibytes() float64 { return float64(l.peak) / (1 << 20) }
func (l load) rowsACommit() float64 {
	return float64(l.rows) / float64(max(l.commits, 1))
}

// micros is CPU a row in µs, which is also CPU seconds per million rows.
func (l load) micros(cpu time.Duration) float64 { return cpu.Seconds() * 1e6 / float64(l.rows) }

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

// peakGoal is the most memory that a run may take, whatever it loads.
const peakGoal = 256

func wholeFigures(shards int, trios []trio) []Figure {
	if len(trios) == 0 {
		return nil
	}
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
			beside(theFloor, ratio(load.thousands)).atLeast(0.5),
		sample(func(t trio) float64 { return t.whole.ingested() }).figure(named("first attempt to last commit"), thousandRows).
			beside(theFloor, ratio(load.ingested)).atLeast(0.5),
		sample(func(t trio) float64 { return t.whole.rowsACommit() }).figure(named("rows a commit"), "rows"),
		sample(func(t trio) float64 { return t.whole.micros(t.whole.client) }).figure("sluice", microsARow),
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

// otherFigures are those of other numbers of shards, measured once. They stand beside the median of all floors, and their
// memory beside that of the whole.
func otherFigures(shards []int, loads []load, trios []trio) []Figure {
	var all []Figure
	for i, l := range loads {
		named := func(what string) string { return fmt.Sprintf("%s, shards=%d", what, shards[i]) }
		speed := Sample{l.thousands()}.figure(named("start to exit"), thousandRows)
		if floor := floors(trios).median(); floor > 0 {
			speed = speed.beside(theFloor, Sample{l.thousands() / floor})
		}
		all = append(all, speed, Sample{l.mebibytes()}.figure(named("peak memory"), mebibytes).atMost(peakGoal))
	}
	return all
}
