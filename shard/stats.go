package shard

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Phase says what a fetcher is doing.
type Phase int32

// The phases of the pull half. Once it has come to its end, the shard is Queueing until everything is committed.
const (
	Idle       Phase = iota // without a shard
	Fetching                // a page is on its way, or is being decoded
	Pacing                  // waiting for quota
	BackingOff              // between two tries of the same request
	Queueing                // waiting for the sink, or for memory
	Paused                  // by the operator
	phases
)

// AtSource reports whether the source, and not the sink, is what a fetcher in this phase waits for.
func (p Phase) AtSource() bool {
	return p == Fetching || p == Pacing || p == BackingOff || p == Paused
}

// Stats holds the live counters of one shard, for display only: the truth is the checkpoint. Both halves write to it, and it
// may be read at any time.
type Stats struct {
	Pages      atomic.Int64
	Events     atomic.Int64 // committed by this process
	Rejected   atomic.Int64 // dead letters committed by this process
	OldestSeen atomic.Int64 // Instant of the resume point; 0: nothing was read yet
	Phase      atomic.Int32
	Since      atomic.Int64 // when the phase began, in Unix nanoseconds
	LastCommit atomic.Int64 // Unix nanoseconds
	Clock      *Clock       // of the fetcher, or nil; set before a run
}

func (s *Stats) enter(p Phase) {
	s.Phase.Store(int32(p))
	s.Since.Store(time.Now().UnixNano())
	s.Clock.Enter(p)
}

func (s *Stats) committed(c Counts, b *Batch) {
	s.Events.Add(c.Events)
	s.Rejected.Add(c.DeadLetters)
	if !b.Resume.IsZero() {
		s.OldestSeen.Store(int64(b.Resume.At))
	}
	s.LastCommit.Store(time.Now().UnixNano())
}

type statsKey struct{}

// measured makes a shard's Stats known to its Source, through the context.
func measured(ctx context.Context, s *Stats) context.Context {
	return context.WithValue(ctx, statsKey{}, s)
}

func statsOf(ctx context.Context) *Stats {
	s, _ := ctx.Value(statsKey{}).(*Stats)
	return s
}

// EnterPhase is called by a Source when it starts to do something else. It has an effect only while a shard is walked: other
// requests to the API, such as those of a survey, are not measured.
func EnterPhase(ctx context.Context, p Phase) {
	if s := statsOf(ctx); s != nil {
		s.enter(p)
	}
}

// Clock adds up the time that one fetcher spends in each phase. It runs from the first Enter on: every moment since then
// belongs to exactly one phase. A nil Clock measures nothing.
type Clock struct {
	mu    sync.Mutex
	phase Phase
	since time.Time
	spent Spent
}

// Enter ends the phase under way and begins another.
func (c *Clock) Enter(p Phase) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	c.phase = p
}

// Spent returns the time spent until now, the phase under way included.
func (c *Clock) Spent() Spent {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	return c.spent
}

// settle adds the phase under way up to now.
func (c *Clock) settle() {
	now := time.Now()
	if !c.since.IsZero() {
		c.spent[c.phase] += now.Sub(c.since)
	}
	c.since = now
}

// Spent is the time spent in each phase, indexed by Phase.
type Spent [phases]time.Duration

// Add returns the sum of both, phase by phase.
func (s Spent) Add(o Spent) Spent {
	for p := range s {
		s[p] += o[p]
	}
	return s
}

// Total returns the time of all phases together.
func (s Spent) Total() (sum time.Duration) {
	for _, d := range s {
		sum += d
	}
	return sum
}

// Share returns the part of the total, from 0 to 1, that was spent in one phase; 0 if the total is zero.
func (s Spent) Share(p Phase) float64 {
	return float64(s[p]) / max(1, float64(s.Total()))
}
