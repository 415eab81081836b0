package quota

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"sluice/shard"
)

// simTable stands in for table api_quotas: rows under a lock, at some distance, with a clock of its own.
type simTable struct {
	ahead time.Duration // of the runs' clock
	takes time.Duration // to get there, or back
	away  atomic.Bool

	lock  chan struct{} // held while time passes, which a mutex must not be in a bubble
	rows  map[string]State
	looks atomic.Int64
}

func newSimTable() *simTable {
	return &simTable{
		ahead: -37 * time.Hour, takes: 2 * time.Millisecond, lock: make(chan struct{}, 1), rows: map[string]State{},
	}
}

func (s *simTable) Settle(ctx context.Context, endpoints []string, settle func(time.Time, []State) []State) error {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	time.Sleep(s.takes)
	if s.away.Load() {
		return errors.New("the table is away")
	}
	rows := make([]State, len(endpoints))
	for i, e := range endpoints {
		rows[i] = s.row(e)
	}
	for i, row := range settle(time.Now().Add(s.ahead), rows) {
		s.rows[endpoints[i]] = row
	}
	s.looks.Add(1)
	time.Sleep(s.takes)
	return ctx.Err()
}

func (s *simTable) row(e string) State {
	row := s.rows[e]
	row.Name, row.Sent, row.Runs = e, slices.Clone(row.Sent), maps.Clone(row.Runs)
	return row
}

// join lets a pacer share its quotas in the table until ctx ends.
func (s *simTable) join(ctx context.Context, t *testing.T, p *Pacer, run string) {
	t.Helper()
	if err := p.Join(ctx, s, run); err != nil {
		t.Fatalf("%s does not join: %v", run, err)
	}
	go func() {
		for shard.Sleep(ctx, time.Second) == nil {
			_ = p.Share(ctx)
		}
	}()
}

// newRun returns a pacer that shares its quotas in the table, until the returned function is called.
func (s *simTable) newRun(t *testing.T, c Config, run string) (p *Pacer, gone func()) {
	t.Helper()
	p = newTestPacer(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	s.join(ctx, t, p, run)
	return p, cancel
}

// startAfter returns a pacer that is the only run and finds this in the table.
func startAfter(t *testing.T, c Config, states ...State) *Pacer {
	t.Helper()
	s, p := newSimTable(), newTestPacer(t, c)
	s.takes, s.ahead = 0, 0
	for _, state := range states {
		s.rows[state.Name] = state
	}
	if err := p.Join(t.Context(), s, "next"); err != nil {
		t.Fatal(err)
	}
	return p
}

// kept returns what a pacer leaves behind in an empty table, whose clock is ours.
func kept(t *testing.T, p *Pacer) [2]State {
	t.Helper()
	s := newSimTable()
	s.takes, s.ahead = 0, 0
	if err := p.Join(t.Context(), s, "last"); err != nil {
		t.Fatal(err)
	}
	return [2]State{s.row("list"), s.row("stream")}
}
