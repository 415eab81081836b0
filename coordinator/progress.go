package coordinator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/shard"
)

// progress holds the live state of all shards, for display only: the truth is the ledger.
type progress struct {
	mu     sync.Mutex
	shards map[int]*track // by number
	order  []int          // numbers, oldest window first
}

type track struct {
	window shard.Window
	parent int
	before shard.Counts // committed by earlier runs
	stats  shard.Stats
	state  shard.State

	waitsFor string // outside of an attempt; empty during one, when stats know
	since    time.Time
	fault    error     // that the shard has not got over since its last commit
	faulty   time.Time // when the first in a row of faults came
}

// What a shard waits for outside of an attempt, or before its first page.
const (
	forFetcher = "a free fetcher"
	forBegin   = "the database, to begin an attempt"
	forRetry   = "its next attempt"
)

func newProgress(checkpoints []shard.Checkpoint) *progress {
	p := &progress{shards: make(map[int]*track)}
	p.arrange(checkpoints)
	return p
}

// arrange takes the windows from the ledger, where splits have changed them.
func (p *progress) arrange(all []shard.Checkpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	parents := Parents(all)
	for i := range all {
		t := p.track(&all[i])
		t.window, t.parent = all[i].Window, parents[all[i].Shard]
	}
	slices.SortFunc(p.order, func(a, b int) int { return cmp.Compare(p.shards[a].window.Start, p.shards[b].window.Start) })
}

// track returns the track of a shard, which it makes if there is none. The caller holds mu.
func (p *progress) track(cp *shard.Checkpoint) *track {
	t := p.shards[cp.Shard]
	if t == nil {
		t = &track{before: cp.Counts, state: cp.State, waitsFor: forFetcher, since: time.Now()}
		p.shards[cp.Shard] = t
		p.order = append(p.order, cp.Shard)
	}
	return t
}

// begin records that an attempt of the shard begins, and returns the counters for it.
func (p *progress) begin(cp *shard.Checkpoint, clock *shard.Clock) *shard.Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.track(cp)
	t.window, t.state, t.waitsFor, t.stats.Clock = cp.Window, shard.Running, "", clock
	return &t.stats
}

// update changes the track of a shard, if there is one.
func (p *progress) update(number int, change func(*track)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.shards[number]; t != nil {
		change(t)
	}
}

func (p *progress) set(number int, state shard.State) {
	p.update(number, func(t *track) { t.state = state })
}

func (p *progress) waits(number int, what string) {
	p.update(number, func(t *track) { t.waitsFor, t.since = what, time.Now() })
}

func (p *progress) faulted(number int, err error) {
	p.update(number, func(t *track) {
		if t.fault == nil {
			t.faulty = time.Now()
		}
		t.fault = err
	})
}

func (p *progress) committed(number int) {
	p.update(number, func(t *track) { t.fault = nil })
}

// drop forgets a shard.
func (p *progress) drop(number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.shards, number)
	p.order = slices.DeleteFunc(p.order, func(n int) bool { return n == number })
}

// Parents returns, for each shard that was split off another one, the number of that one.
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

// ShardProgress is the state of one shard.
type ShardProgress struct {
	Shard      int
	Parent     int // the shard that this one was split off; 0 for a planned window
	Window     shard.Window
	State      shard.State
	Before     shard.Counts // committed before this run
	Events     int64        // committed by this run
	Rejected   int64        // dead letters committed by this run
	Pages      int64        // read by this run
	OldestSeen shard.Instant
	Phase      shard.Phase
	LastCommit int64 // Unix nanoseconds; 0 if this run committed nothing
}

// Snapshot is the state of all shards at one moment.
type Snapshot struct {
	Shards []ShardProgress // oldest window first
	// Sums over all shards.
	Before   int64 // events committed by earlier runs
	Events   int64 // events committed by this run
	Rejected int64
	Active   int
	Queueing int // active shards whose queue is full: they wait for the database or for memory
}

// Progress returns the state of all shards. It may be called at any time.
func (c *Coordinator) Progress() Snapshot {
	p := c.shards
	p.mu.Lock()
	defer p.mu.Unlock()
	var s Snapshot
	for _, number := range p.order {
		t := p.shards[number]
		one := ShardProgress{
			Shard: number, Parent: t.parent, Window: t.window, State: t.state, Before: t.before,
			Events: t.stats.Events.Load(), Rejected: t.stats.Rejected.Load(),
			Pages: t.stats.Pages.Load(), OldestSeen: shard.Instant(t.stats.OldestSeen.Load()),
			Phase: shard.Phase(t.stats.Phase.Load()), LastCommit: t.stats.LastCommit.Load(),
		}
		s.Shards = append(s.Shards, one)
		s.Before += one.Before.Events
		s.Events += one.Events
		s.Rejected += one.Rejected
		if one.State == shard.Running {
			s.Active++
			if one.Phase == shard.Queueing {
				s.Queueing++
			}
		}
	}
	return s
}

// Waiting says what every unfinished shard waits for, and since when. Shards that wait for the same share a line.
func (c *Coordinator) Waiting() []string {
	p := c.shards
	p.mu.Lock()
	defer p.mu.Unlock()
	numbers, since := map[string][]int{}, map[string]time.Time{}
	for _, number := range p.order {
		t := p.shards[number]
		if t.state == shard.Done || t.state == shard.Failed {
			continue
		}
		what, from := t.waitsFor, t.since
		if what == "" {
			what = c.config.DescribePhase(shard.Phase(t.stats.Phase.Load()))
			from = time.Unix(0, cmp.Or(t.stats.Since.Load(), from.UnixNano()))
		}
		if t.fault != nil { // since the first in the row: every attempt begins to wait anew
			what, from = fmt.Sprintf("%s after %q", what, t.fault), t.faulty
		}
		numbers[what] = append(numbers[what], number)
		if first, known := since[what]; !known || from.Before(first) {
			since[what] = from
		}
	}
	var lines []string
	for what, which := range numbers {
		lines = append(lines, fmt.Sprintf("%s for %s since %s", listed(which), what, since[what].UTC().Format(time.RFC3339)))
	}
	slices.Sort(lines)
	return lines
}

// listed returns "shard 3 waits" or "shards 1, 2, 5 wait". Of many shards it names only the first.
func listed(numbers []int) string {
	const named = 8
	if len(numbers) == 1 {
		return fmt.Sprintf("shard %d waits", numbers[0])
	}
	slices.Sort(numbers)
	var names []string
	for _, n := range numbers[:min(len(numbers), named)] {
		names = append(names, fmt.Sprint(n))
	}
	list := strings.Join(names, ", ")
	if more := len(numbers) - named; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return "shards " + list + " wait"
}
