package shard

import (
	"testing"

	"pgregory.net/rapid"
)

// Whatever the history, the windows and the faults: after all shards are done, everything is stored exactly once.
func TestRunSwarm(t *testing.T) {
	var steps, stuck, blurred, attempts int64
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, worldOptions{Max: 150, Bad: 5, Skewed: 4, Finite: rapid.Bool().Draw(rt, "finite")})
		s := drawSettings(rt)
		drawFaults(rt, &s)
		o, err := simulate(t, w, s)
		if err != nil {
			rt.Fatalf("%v", err)
		}
		steps, stuck, blurred, attempts = steps+o.steps.Load(), stuck+int64(o.stuck), blurred+int64(o.blurred), attempts+1
	})
	t.Logf("%d runs, %d steps, %d stuck attempts, %d blurred records", attempts, steps, stuck, blurred)
}
