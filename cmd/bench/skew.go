package main

import (
	"context"
	"fmt"
	"time"
)

// skewShare of the events is in one hour, and the run may take so many times as long.
const (
	skewShare = 0.5
	skewGoal  = 1.15
	unitTime  = "s"
	evenRun   = "even"
)

// contest is one load and those of something else around it.
type contest struct{ before, load, after load }

// ratio of the times that the loads took.
func (c contest) ratio() float64 {
	return 2 * c.load.ingest.Seconds() / (c.before.ingest.Seconds() + c.after.ingest.Seconds())
}

// measureSkew compares a skewed load with even ones, where the machine is the limit, and where it is the latency.
func measureSkew(ctx context.Context, s *stand) ([]Figure, error) {
	machine, err := s.compareSkew(ctx, func(ctx context.Context, skew float64) (*world, error) {
		data, err := know(s.events, skew)
		if err != nil {
			return nil, err
		}
		return s.newWorld(ctx, data)
	})
	if err != nil {
		return nil, err
	}
	wait := s.waits[0]
	slow, err := s.compareSkew(ctx, func(ctx context.Context, skew float64) (*world, error) {
		return s.slowWorld(ctx, wait.page, s.shards*wait.pages, skew)
	})
	if err != nil {
		return nil, err
	}
	return skewFigures(s.shards, wait.page, machine, slow), nil
}

func (s *stand) compareSkew(ctx context.Context, bring func(context.Context, float64) (*world, error)) (c contest, err error) {
	for _, one := range []struct {
		skew float64
		into *load
	}{{0, &c.before}, {skewShare, &c.load}, {0, &c.after}} {
		w, err := bring(ctx, one.skew)
		if err != nil {
			return c, err
		}
		*one.into, err = w.only(ctx, s.shards, nil)
		if err != nil {
			return c, err
		}
		s.say("skew %g: %.1f s", one.skew, one.into.ingest.Seconds())
	}
	return c, nil
}

func skewFigures(shards int, page time.Duration, machine, slow contest) []Figure {
	figure := func(what string, c contest) Figure {
		return Sample{c.load.ingest.Seconds()}.figure(fmt.Sprintf("half of the events in one hour, %s, shards=%d", what, shards), unitTime).
			beside(evenRun, Sample{c.ratio()}).atMost(skewGoal)
	}
	return []Figure{figure("no limits", machine), figure("pages of "+page.String(), slow)}
}
