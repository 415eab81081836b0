package view

import (
	"fmt"
	"testing"

	"sluice/coordinator"
	"sluice/shard"
)

// TestShardsStandInTheOrderOfTheirWindows: one that was split off has a higher number than its newer neighbour.
func TestShardsStandInTheOrderOfTheirWindows(t *testing.T) {
	window := func(start, end shard.Instant) shard.Window { return shard.Window{Start: start, End: end} }
	var v View
	v.setShards([]coordinator.ShardProgress{
		{Shard: 1, Window: window(1, 11)}, {Shard: 2, Window: window(21, 31)}, {Shard: 3, Parent: 2, Window: window(11, 21)},
	}, window(1, 31))
	var got []int
	for _, s := range v.Shards {
		got = append(got, s.Number)
	}
	if fmt.Sprint(got) != "[1 3 2]" || v.Shards[1].From != v.Shards[0].To || v.Shards[1].To != v.Shards[2].From {
		t.Errorf("the order is %v: %+v", got, v.Shards)
	}
}
