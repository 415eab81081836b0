package shard

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever the history, the windows and the faults: after all shards are done, everything is stored exactly once.
func TestRunSwarm(t *testing.T) {
	var runs, steps, stuck, blurred int
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, worldOptions{Max: 150, Bad: 5, Skewed: 4, Finite: rapid.Bool().Draw(rt, "finite")})
		s := drawSettings(rt)
		drawFaults(rt, &s)
		o, err := simulate(t, w, s)
		if err != nil {
			rt.Fatalf("%v", err)
		}
		if o.took > 24*time.Hour {
			rt.Fatalf("the shards took %s of virtual time, %d steps", o.took, o.steps.Load())
		}
		runs, steps, stuck, blurred = runs+1, steps+int(o.steps.Load()), stuck+o.stuck, blurred+o.blurred
	})
	t.Logf("%d runs, %d steps, %d stuck attempts, %d blurred records", runs, steps, stuck, blurred)
}

// Where nothing goes wrong the work is the least possible: as few pages as the windows take, nothing stored twice.
func TestRunCalm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, worldOptions{Max: 150, Bad: 5})
		s := drawSettings(rt)
		o, err := simulate(t, w, s)
		if err != nil {
			rt.Fatalf("%v", err)
		}
		if err := exact(w, s, o); err != nil {
			rt.Fatalf("%v", err)
		}
	})
}

// exact holds a calm run against the least work.
func exact(w world, s settings, o *outcome) error {
	unproven := 0
	for i, a := range o.apis { // newest first
		row := o.Load(int64(len(o.apis) - i))
		cursor := ""
		if i > 0 && s.HandOver {
			cursor = o.Load(row.ID + 1).Cursor
		}
		want, again := w.leastPages(s, row.Window, cursor)
		if a.Asked != want {
			return fmt.Errorf("shard %d %s asked for %d pages, %d would do", row.Shard, row.Window, a.Asked, want)
		}
		unproven += w.unproven(row.Window)
		if again > 1 || s.Pieces > 1 {
			unproven += again * s.Limit // what comes in a piece without the end is not known again
		}
	}
	var strays int64
	for _, row := range o.shards {
		strays += row.Counts.OutOfOrder
	}
	if o.twice > unproven || strays > int64(unproven) || o.stuck > 0 {
		return fmt.Errorf("%d records stored twice, %d out of order, %d attempts stuck; %d records allow no proof",
			o.twice, strays, o.stuck, unproven)
	}
	return nil
}

// An API whose lies are lies twice can fool a shard. Then, and only then, records are missing.
func TestRunFooled(t *testing.T) {
	runs, fooled := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, worldOptions{Max: 100, Bad: 2, Skewed: 2})
		s := drawSettings(rt)
		s.API = apiFaults{EarlyEnd: 0.3, LieTwice: true}
		s.Kills, s.Calm = 0.02, 2000
		o, err := simulate(t, w, s)
		if err != nil {
			rt.Fatalf("%v", err)
		}
		runs, fooled = runs+1, fooled+o.fooled
	})
	t.Logf("%d runs, %d shards were told twice that their data end where they do not", runs, fooled)
}
