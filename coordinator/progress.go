package coordinator

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"sluice/shard"
)

// Progress holds the live state of all shards, for the screen. It is pulled, never pushed; the truth is the ledger.
type progress struct {
	started time.Time

	mu     sync.Mutex
	shards map[int]*track
	order  []int
}

type track struct {
	window shard.Window
	parent int
	before shard.Counts // committed by earlier runs
	meter  shard.Stats
	state  shard.State
	wait   wait
}

// ShardProgress is where one shard stands.
type ShardProgress struct {
	Shard      int
	Parent     int // the shard whose window this one was split from; 0: it was planned as it is
	Window     shard.Window
	State      shard.State
	Before     shard.Counts // committed before this run
	Events     int64        // committed by this run
	Received   int64
	Rejected   int64
	Pages      int64
	OldestSeen shard.Instant
	Phase      shard.Phase
	LastCommit int64 // Unix nanoseconds; 0: none by this run
}

// Snapshot is the progress at one moment.
type Snapshot struct {
	Since  time.Time
	Shards []ShardProgress
	// Sums over all shards.
	Before   int64 // events committed by earlier runs
	Events   int64 // events committed by this run
	Received int64
	Rejected int64
	Done     int
	Failed   int
	Active   int
	Queueing int // of the active ones: their queue is full, so the database or the memory holds them
}

func newProgress(checkpoints []shard.Checkpoint) *progress {
	p := &progress{started: time.Now(), shards: make(map[int]*track)}
	parents := Parents(checkpoints)
	for i := range checkpoints {
		cp := &checkpoints[i]
		p.shards[cp.Shard] = &track{window: cp.Window, parent: parents[cp.Shard], before: cp.Counts, state: cp.State, wait: wait{what: forPlace, since: p.started}}
		p.order = append(p.order, cp.Shard)
	}
	return p
}

func (p *progress) begin(cp *shard.Checkpoint, clock *shard.Clock) *shard.Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.shards[cp.Shard]
	if t == nil {
		t = &track{window: cp.Window, before: cp.Counts}
		p.shards[cp.Shard] = t
		p.order = append(p.order, cp.Shard)
	}
	t.window, t.state = cp.Window, shard.Running
	t.wait.what = ""
	t.meter.Clock = clock
	return &t.meter
}

// arrange takes over the windows of the ledger, where some have been split.
func (p *progress) arrange(all []shard.Checkpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	parents := Parents(all)
	for i := range all {
		cp := &all[i]
		if t := p.shards[cp.Shard]; t != nil {
			t.window, t.parent = cp.Window, parents[cp.Shard]
			continue
		}
		p.shards[cp.Shard] = &track{window: cp.Window, parent: parents[cp.Shard], before: cp.Counts, state: cp.State, wait: wait{what: forPlace, since: time.Now()}}
		p.order = append(p.order, cp.Shard)
	}
	slices.SortFunc(p.order, func(a, b int) int { return cmp.Compare(p.shards[a].window.Start, p.shards[b].window.Start) })
}

// Parents returns for each shard that was split from another one the number of that one.
func Parents(all []shard.Checkpoint) map[int]int {
	numbers, parents := map[int64]int{}, map[int]int{}
	for i := range all {
		numbers[all[i].ID] = all[i].Shard
	}
	for i := range all {
		if of := numbers[all[i].Parent]; of != 0 {
			parents[all[i].Shard] = of
		}
	}
	return parents
}

// drop forgets a shard.
func (p *progress) drop(number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.shards, number)
	p.order = slices.DeleteFunc(p.order, func(n int) bool { return n == number })
}

func (p *progress) set(number int, state shard.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.shards[number]; t != nil {
		t.state = state
	}
}

// Progress returns where all shards stand.
func (c *Coordinator) Progress() Snapshot {
	p := c.shards
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Snapshot{Since: p.started}
	for _, number := range p.order {
		one := p.shards[number].read(number)
		s.Shards = append(s.Shards, one)
		s.Before += one.Before.Events
		s.Events += one.Events
		s.Received += one.Received
		s.Rejected += one.Rejected
		switch one.State {
		case shard.Done:
			s.Done++
		case shard.Failed:
			s.Failed++
		case shard.Running:
			s.Active++
			if one.Phase == shard.Queueing {
				s.Queueing++
			}
		}
	}
	return s
}

func (t *track) read(number int) ShardProgress {
	return ShardProgress{
		Shard: number, Parent: t.parent, Window: t.window, State: t.state, Before: t.before,
		Events: t.meter.Events.Load(), Received: t.meter.Received.Load(), Rejected: t.meter.Rejected.Load(),
		Pages: t.meter.Pages.Load(), OldestSeen: shard.Instant(t.meter.OldestSeen.Load()),
		Phase: shard.Phase(t.meter.Phase.Load()), LastCommit: t.meter.LastCommit.Load(),
	}
}
