package coordinator

import (
	"slices"
	"sync"

	"sluice/shard"
)

// fetchers keeps a clock for each place of the pool.
type fetchers struct {
	all []*shard.Clock

	mu   sync.Mutex
	free []*shard.Clock
}

func newFetchers(n int) *fetchers {
	f := new(fetchers)
	for range n {
		f.all = append(f.all, new(shard.Clock))
	}
	f.free = slices.Clone(f.all)
	slices.Reverse(f.free) // the last one is taken first
	return f
}

// start lets all clocks run. What is without a shard from here on is idle.
func (f *fetchers) start() {
	for _, clock := range f.all {
		clock.Enter(shard.Idle)
	}
}

// sit gives an attempt that holds a place the clock of one. It waits for the database, which begins the attempt.
func (f *fetchers) sit() *shard.Clock {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := len(f.free) - 1
	clock := f.free[last]
	f.free = f.free[:last]
	clock.Enter(shard.Queueing)
	return clock
}

func (f *fetchers) rise(clock *shard.Clock) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clock.Enter(shard.Idle)
	f.free = append(f.free, clock)
}

// spent returns what each has done until now.
func (f *fetchers) spent() (all []shard.Spent) {
	for _, clock := range f.all {
		all = append(all, clock.Spent())
	}
	return all
}
