package main

import (
	"context"
	"fmt"
)

// oldGoal is the share of the program's speed that the old system may reach.
const oldGoal = 0.1

// step is a trio with a number of shards; neighbours share the floor between them.
type step struct {
	shards int
	trio
}

// measureShards draws the curve of the machine: floor, one number of shards, floor, the next one, floor; and at its end the old
// system's way.
func measureShards(ctx context.Context, s *stand) ([]Figure, error) {
	if err := s.warm(ctx); err != nil {
		return nil, err
	}
	floor, err := s.floor(ctx)
	if err != nil {
		return nil, err
	}
	steps := make([]step, len(s.curve))
	for i, shards := range s.curve {
		t := &steps[i]
		t.shards, t.before = shards, floor
		if t.whole, err = s.ingest(ctx, s.data, shards, nil); err != nil {
			return nil, err
		}
		if floor, err = s.floor(ctx); err != nil {
			return nil, err
		}
		t.after = floor
		s.say("shards=%d: %s", shards, &t.trio)
	}
	old, err := s.oldLoad(ctx)
	return append(shardFigures(steps), oldFigures(old, fastest(steps))...), err
}

func shardFigures(steps []step) []Figure {
	var all []Figure
	for _, t := range steps {
		named := func(what string) string { return fmt.Sprintf("%s, shards=%d", what, t.shards) }
		l := t.whole
		all = append(all,
			Sample{l.thousands()}.figure(named("start to exit"), thousandRows).beside(theFloor, Sample{l.thousands() / t.floor()}).
				at(machinePanel, "start to exit", t.shards),
			Sample{l.ingested()}.figure(named("first attempt to last commit"), thousandRows).
				beside(theFloor, Sample{l.ingested() / t.floor()}).at(machinePanel, "first attempt to last commit", t.shards),
			Sample{l.micros(l.client)}.figure(named("sluice"), microsARow),
			Sample{l.micros(l.postgres)}.figure(named("PostgreSQL"), microsARow).
				beside(itsCPU, Sample{l.micros(l.postgres) / t.floorCPU()}),
			Sample{l.micros(l.simulator)}.figure(named("simulator"), microsARow),
			Sample{l.mebibytes()}.figure(named("peak memory"), mebibytes).atMost(peakGoal))
	}
	return all
}

// fastest is the best of the curve.
func fastest(steps []step) load {
	var best load
	for _, t := range steps {
		if best.rows == 0 || t.whole.thousands() > best.thousands() {
			best = t.whole
		}
	}
	return best
}

// oldFigures set the old system beside the program, by speed and by all the CPU that the two processes and the server take.
func oldFigures(old, sluice load) []Figure {
	cpu := func(l load) float64 { return l.micros(l.client + l.postgres) }
	return []Figure{
		Sample{old.thousands()}.figure("the old way: one chain of pages, VALUES × 1,000", thousandRows).
			beside("sluice", Sample{old.thousands() / sluice.thousands()}).atMost(oldGoal),
		Sample{cpu(old)}.figure("the old way: client and PostgreSQL", microsARow).beside("sluice", Sample{cpu(old) / cpu(sluice)}),
	}
}
