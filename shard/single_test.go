package shard

import (
	"fmt"
	"testing"
	"time"
)

// Each kind of fault at each position of a calm run: the result is whole, and the fault costs a few pages, not a window.
func TestRunSingleFault(t *testing.T) {
	kinds := map[string]single{
		"kill":          {Kill: true},
		"stop":          {Stop: true},
		"server error":  {API: apiFaults{Transient: 1}},
		"cursor dies":   {API: apiFaults{CursorDies: 1}},
		"early end":     {API: apiFaults{EarlyEnd: 1}},
		"empty page":    {API: apiFaults{EmptyMore: 1}},
		"duplicate":     {API: apiFaults{Duplicate: 1}},
		"cycle":         {API: apiFaults{Cycle: 1}},
		"place ignored": {API: apiFaults{Ignore: 1}},
		"stale":         {Sink: sinkFaults{Stale: 1}},
		"sink failed":   {Sink: sinkFaults{Before: 1}},
		"sink unknown":  {Sink: sinkFaults{Unknown: 1}},
	}
	w := world{Records: seconds(47)}
	w.Windows = []Window{{Past, epoch.Add(-30 * time.Second)}, {epoch.Add(-30 * time.Second), epoch.Add(-12 * time.Second)}, {epoch.Add(-12 * time.Second), Future}}
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			fired := 0
			for _, until := range []untilMode{untilExclusive, untilMillis, untilRefused} {
				for position := 1; position <= 12; position++ {
					changed, err := sweep(t, w, kind, until, position)
					if err != nil {
						t.Errorf("position %d, until mode %d: %v", position, until, err)
					}
					if changed {
						fired++
					}
				}
			}
			if fired < 12 {
				t.Errorf("the fault made a difference in %d runs only", fired)
			}
		})
	}
}

func sweep(t *testing.T, w world, kind single, until untilMode, position int) (changed bool, err error) {
	s := settings{Limit: 5, Until: until, HandOver: until == untilRefused, Limits: Limits{QueuePages: 2}, SinkTook: 30 * time.Millisecond}
	calm, err := simulate(t, w, s)
	if err != nil {
		return false, fmt.Errorf("calm: %w", err)
	}
	s.Single = kind
	if kind.Sink != (sinkFaults{}) {
		s.Single.Commit = position
	} else {
		s.Single.Answer = position
	}
	o, err := simulate(t, w, s)
	if err != nil {
		return false, err
	}
	if o.stuck > 0 {
		return false, fmt.Errorf("%d attempts got stuck", o.stuck)
	}
	// What was on its way: a page in hand, the queue, a commit; and what a confirmation or a look for the place takes.
	allowed := s.Limits.QueuePages + 4
	if until == untilRefused {
		allowed += len(w.Records)/s.Limit + 2 // a place that only the top leads to
	}
	if extra := o.asked() - calm.asked(); extra > allowed {
		return false, fmt.Errorf("cost %d pages, %d are enough", extra, allowed)
	}
	return o.steps.Load() != calm.steps.Load() || o.received() != calm.received(), nil
}

func (o *outcome) received() int64 {
	var n int64
	for _, row := range o.shards {
		n += row.Counts.Received
	}
	return n
}

func (o *outcome) asked() int {
	n := 0
	for _, a := range o.apis {
		n += a.Asked
	}
	return n
}
