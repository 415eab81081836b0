package shard

import (
	"context"
	"sync"
	"time"
)

// Clock adds up what one fetcher does, phase by phase. It runs from the first Enter on: every moment since then belongs to
// exactly one phase. Nil is a clock that nobody reads.
type Clock struct {
	mu    sync.Mutex
	phase Phase
	since time.Time
	spent Spent
}

// Spent is the time spent in each phase.
type Spent [phases]time.Duration

// Enter ends the phase under way and begins another.
func (c *Clock) Enter(p Phase) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add()
	c.phase = p
}

// Spent returns what was spent until now.
func (c *Clock) Spent() Spent {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add()
	return c.spent
}

// add brings the account of the phase under way up to now.
func (c *Clock) add() {
	now := time.Now()
	if !c.since.IsZero() {
		c.spent[c.phase] += now.Sub(c.since)
	}
	c.since = now
}

// Add returns the sum of two times in each phase.
func (s Spent) Add(o Spent) Spent {
	for p := range s {
		s[p] += o[p]
	}
	return s
}

// Total is the time of all phases.
func (s Spent) Total() (sum time.Duration) {
	for _, d := range s {
		sum += d
	}
	return sum
}

// Share is the part that one phase has in it; 0 of nothing.
func (s Spent) Share(p Phase) float64 {
	return float64(s[p]) / max(1, float64(s.Total()))
}

type meterKey struct{}

// metered hands the meter down to where a Source waits.
func metered(ctx context.Context, m *Stats) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

// Enter says what a step of a Source does from here on. Only a shard's own steps are measured: a look at the API is not.
func EnterPhase(ctx context.Context, p Phase) {
	if m, ok := ctx.Value(meterKey{}).(*Stats); ok {
		m.enter(p)
	}
}
