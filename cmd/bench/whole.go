package main

import (
	"context"
	"fmt"
	"slices"
)

// Units, and the names of what figures stand beside.
const (
	thousandRows = "k rows/s"
	microsARow   = "µs CPU/row"
	mebibytes    = "MiB"
	theFloor     = "floor"
	itsCPU       = "floor's"
	evenData     = "even"
)

// The goals (issue 4): the share of the floor that a run reaches, the client's CPU and allocations a row, the most memory that a
// run may take, whatever it loads, and how many times as long half of the events in one hour may take.
const (
	floorGoal      = 0.75
	cpuGoal        = 1.5
	allocationGoal = 2
	peakGoal       = 256
	skewShare      = 0.5
	skewGoal       = 1.15
)

// trio is a run and the floors around it: what the machine could do before, and what it could do after.
type trio struct {
	shards             int
	before, run, after load
}

func (t trio) floor() float64 { return (t.before.thousands() + t.after.thousands()) / 2 }

func (t trio) floorCPU() float64 {
	return (t.before.micros(t.before.postgres) + t.after.micros(t.after.postgres)) / 2
}

// measureWhole draws the curve of the machine: floor, one number of shards, floor, the next one, floor. The run with the usual
// number is followed by one of data of which half is in one hour, and by one that counts its allocations.
func measureWhole(ctx context.Context, r *rig) ([]Figure, error) {
	if err := r.prepareFloor(ctx); err != nil {
		return nil, err
	}
	skewed, err := newDataset(r.events, skewShare)
	if err != nil {
		return nil, err
	}
	floor, err := r.floor(ctx)
	if err != nil {
		return nil, err
	}
	figures := []Figure{
		figure("floor: COPY from a file, 2 sessions", thousandRows, floor.thousands()),
		figure("floor: PostgreSQL", microsARow, floor.micros(floor.postgres)),
	}
	var others []float64
	for _, shards := range r.shards {
		t := trio{shards: int(shards), before: floor}
		if t.run, err = r.run(ctx, r.usual(r.data, t.shards)); err != nil {
			return nil, err
		}
		if t.shards == usualShards {
			l, err := r.run(ctx, r.usual(skewed, t.shards))
			if err != nil {
				return nil, err
			}
			counted, err := r.allocations(ctx)
			if err != nil {
				return nil, err
			}
			figures = append(append(figures, skewFigure("no limits", l, t.run)), counted...)
		}
		if floor, err = r.floor(ctx); err != nil {
			return nil, err
		}
		t.after = floor
		figures, others = append(figures, wholeFigures(t)...), append(others, t.before.others, t.run.others, t.after.others)
		r.log("shards=%d: floor %.0f, run %.0f, floor %.0f thousand rows/s; CPU a row: client %.2f, PostgreSQL %.2f, floor %.2f µs; others had %.2f cores",
			t.shards, t.before.thousands(), t.run.thousands(), t.after.thousands(), t.run.micros(t.run.client), t.run.micros(t.run.postgres),
			t.floorCPU(), max(t.before.others, t.run.others, t.after.others))
	}
	return append(figures, figure("used by other processes of this machine, at most", "cores", slices.Max(others))), nil
}

func wholeFigures(t trio) []Figure {
	l := t.run
	named := func(what string) string { return fmt.Sprintf("%s, shards=%d", what, t.shards) }
	all := []Figure{
		figure(named("start to exit"), thousandRows, l.thousands()).beside(theFloor, l.thousands()/t.floor()).
			at(machinePanel, "start to exit", t.shards).atLeast(floorGoal),
		figure(named("first attempt to last commit"), thousandRows, l.ingested()).beside(theFloor, l.ingested()/t.floor()).
			at(machinePanel, "first attempt to last commit", t.shards).atLeast(floorGoal),
		figure(named("sluice"), microsARow, l.micros(l.client)).atMost(cpuGoal),
		figure(named("PostgreSQL"), microsARow, l.micros(l.postgres)).beside(itsCPU, l.micros(l.postgres)/t.floorCPU()),
		figure(named("simulator"), microsARow, l.micros(l.simulator)),
		figure(named("peak memory"), mebibytes, l.mebibytes()).atMost(peakGoal),
		figure(named("rows a commit"), "rows", l.rowsACommit()),
	}
	if t.shards != usualShards {
		for i := range all {
			if all[i].Unit != mebibytes {
				all[i].Goal = nil
			}
		}
	}
	return all
}

func skewFigure(what string, skewed, even load) Figure {
	return figure(fmt.Sprintf("half of the events in one hour, %s, shards=%d", what, usualShards), "s", skewed.ingest.Seconds()).
		beside(evenData, skewed.ingest.Seconds()/even.ingest.Seconds()).atMost(skewGoal)
}

// compareBinaries runs the program of -binary and the checkout's, one after the other; the next pass has the other order.
func compareBinaries(ctx context.Context, r *rig) ([]Figure, error) {
	if r.pass == 0 { // warm up
		if _, err := r.run(ctx, r.usual(r.data, usualShards)); err != nil {
			return nil, err
		}
	}
	var figures []Figure
	for _, shards := range r.shards {
		binaries, loads := []string{r.binary, r.program}, map[string]load{}
		if r.pass%2 == 1 {
			slices.Reverse(binaries)
		}
		for _, binary := range binaries {
			t := r.usual(r.data, int(shards))
			t.binary = binary
			l, err := r.run(ctx, t)
			if err != nil {
				return nil, err
			}
			loads[binary] = l
		}
		old, now := loads[r.binary], loads[r.program]
		r.log("shards=%d: CPU a row of the client %.3f before, %.3f now, of PostgreSQL %.2f and %.2f µs; %.0f and %.0f thousand rows/s; others had %.2f and %.2f cores",
			shards, old.micros(old.client), now.micros(now.client), old.micros(old.postgres), now.micros(now.postgres),
			old.thousands(), now.thousands(), old.others, now.others)
		figures = append(figures, binaryFigures(int(shards), old, now)...)
	}
	return figures, nil
}

// binaryFigures stand in pairs: the other program's, and the checkout's beside it.
func binaryFigures(shards int, old, now load) (all []Figure) {
	for _, c := range []struct {
		what, unit string
		of         func(load) float64
	}{
		{"client", microsARow, func(l load) float64 { return l.micros(l.client) }},
		{"PostgreSQL", microsARow, func(l load) float64 { return l.micros(l.postgres) }},
		{"client and PostgreSQL", microsARow, func(l load) float64 { return l.micros(l.client + l.postgres) }},
		{"start to exit", thousandRows, load.thousands},
		{"first attempt to last commit", thousandRows, load.ingested},
		{"peak memory", mebibytes, load.mebibytes},
	} {
		name := fmt.Sprintf("%s, shards=%d", c.what, shards)
		all = append(all, figure(name+", -binary", c.unit, c.of(old)),
			figure(name+", checkout", c.unit, c.of(now)).beside("-binary", c.of(now)/c.of(old)))
	}
	return all
}

// flatGoal is how many times the CPU a row of the smallest size the client may take at another.
const flatGoal = 1.1

// measureSize loads more and more.
func measureSize(ctx context.Context, r *rig) ([]Figure, error) {
	var all []Figure
	var smallest load
	for i, events := range r.sizes {
		data, err := newDataset(events, 0)
		if err != nil {
			return nil, err
		}
		l, err := r.run(ctx, r.usual(data, usualShards))
		if err != nil {
			return nil, err
		}
		r.log("%d events: %.0f thousand rows/s", events, l.thousands())
		if i == 0 {
			smallest = l
		}
		all = append(all, sizeFigures(l, smallest)...)
	}
	return all, nil
}

// sizeFigures set a size beside the smallest.
func sizeFigures(l, smallest load) []Figure {
	named := func(what string) string { return fmt.Sprintf("%s, %s events", what, grouped(float64(l.rows))) }
	client, postgres := figure(named("sluice"), microsARow, l.micros(l.client)), figure(named("PostgreSQL"), microsARow, l.micros(l.postgres))
	if l.rows != smallest.rows {
		at := "at " + grouped(float64(smallest.rows))
		client = client.beside(at, client.Value/smallest.micros(smallest.client)).atMost(flatGoal)
		postgres = postgres.beside(at, postgres.Value/smallest.micros(smallest.postgres))
	}
	return []Figure{client, postgres, figure(named("first attempt to last commit"), thousandRows, l.ingested()),
		figure(named("peak memory"), mebibytes, l.mebibytes()).atMost(peakGoal)}
}
