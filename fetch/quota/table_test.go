package quota

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// simTable stands in for table api_quotas: rows under a lock, at some distance, with a clock of its own.
type simTable struct {
	ahead time.Duration // of the runs' clock
	takes time.Duration // to get there, or back
	away  atomic.Bool
	then  func(endpoints []string) // before the answer goes back; nil means nothing

	lock  chan struct{} // held while time passes, which a mutex must not be in a bubble
	rows  map[string]ledger.Quota
	looks atomic.Int64
}

func newSimTable() *simTable {
	return &simTable{
		ahead: -37 * time.Hour, takes: 2 * time.Millisecond, lock: make(chan struct{}, 1), rows: map[string]ledger.Quota{},
	}
}

func (s *simTable) SettleQuotas(ctx context.Context, _ string, endpoints []string, settle func(time.Time, []ledger.Quota) []ledger.Quota) error {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	time.Sleep(s.takes)
	if s.away.Load() {
		return errors.New("the table is away")
	}
	rows := make([]ledger.Quota, len(endpoints))
	for i, e := range endpoints {
		rows[i] = s.row(e)
	}
	for i, row := range settle(time.Now().Add(s.ahead), rows) {
		s.rows[endpoints[i]] = row
	}
	s.looks.Add(1)
	if s.then != nil {
		s.then(endpoints)
	}
	time.Sleep(s.takes)
	return ctx.Err()
}

func (s *simTable) row(e string) ledger.Quota {
	row := s.rows[e]
	row.Endpoint, row.Sent, row.Runs = e, slices.Clone(row.Sent), maps.Clone(row.Runs)
	return row
}

// join lets a pacer share its quotas in the table until ctx ends.
func (s *simTable) join(ctx context.Context, t *testing.T, p *Pacer, run string) {
	t.Helper()
	if err := p.Join(ctx, s, "", run); err != nil {
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
func startAfter(t *testing.T, c Config, states ...ledger.Quota) *Pacer {
	t.Helper()
	s, p := newSimTable(), newTestPacer(t, c)
	s.takes, s.ahead = 0, 0
	for _, state := range states {
		s.rows[state.Endpoint] = state
	}
	if err := p.Join(t.Context(), s, "", "next"); err != nil {
		t.Fatal(err)
	}
	return p
}

// kept returns what a pacer leaves behind in an empty table, whose clock is ours.
func kept(t *testing.T, p *Pacer) [2]ledger.Quota {
	t.Helper()
	s := newSimTable()
	s.takes, s.ahead = 0, 0
	if err := p.Join(t.Context(), s, "", "last"); err != nil {
		t.Fatal(err)
	}
	return [2]ledger.Quota{s.row("list"), s.row("stream")}
}

func TestStateKeepsWhatTheServerMayStillCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, unknown), time.Now()
		p.Observe(takeCall(t, p, onlyList), Answer{Limit: 10, Remaining: 9, Reset: time.Minute})
		time.Sleep(50 * time.Second)
		p.Observe(takeCall(t, p, onlyList), Answer{Limit: 10, Remaining: 8, Reset: 10 * time.Second})
		time.Sleep(20 * time.Second)

		list, stream := kept(t, p)[0], kept(t, p)[1]
		if list.Endpoint != "list" || list.Limit != 10 || list.Window != time.Minute || !list.NotBefore.IsZero() {
			t.Errorf("list: %+v", list)
		}
		if len(list.Sent) != 1 || !list.Sent[0].Equal(start.Add(50*time.Second)) {
			t.Errorf("sent %v, want only the second: the first was forgotten", list.Sent)
		}
		if stream.Endpoint != "stream" || stream.Limit != 0 || len(stream.Sent) > 0 {
			t.Errorf("stream: %+v, want nothing", stream)
		}
	})
}

// A limit that the operator gave may have been meant for one run; what an earlier run has learned must survive it.
func TestStateDoesNotKeepWhatItWasTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gentle := startAfter(t, both(Limit{}, Limit{5, time.Minute}), ledger.Quota{Endpoint: "stream", Limit: 50, Window: time.Minute})
		if s := gentle.Status()[1]; s.Limit.N != 5 || s.Known != Configured {
			t.Errorf("%s (%s), want what was told", s.Limit, s.Known)
		}
		if s := kept(t, gentle)[1]; s.Limit != 50 || s.Window != time.Minute {
			t.Errorf("%d in %s is kept, want what was learned", s.Limit, s.Window)
		}
	})
}

func TestRestoreKeepsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := startAfter(t, unknown, ledger.Quota{Endpoint: "stream", NotBefore: start.Add(40 * time.Second)})
		if c := takeCall(t, p, onlyStream); c.At.Sub(start) != 40*time.Second {
			t.Errorf("call after %v, want 40s", c.At.Sub(start))
		}
	})
}

// A clock that was set back leaves requests in the future; impossible limits come from a newer version.
func TestRestoreSurvivesNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := startAfter(t, unknown, ledger.Quota{Endpoint: "list", Limit: 1, Window: time.Nanosecond},
			ledger.Quota{Endpoint: "stream", Limit: 1, Window: time.Minute, Sent: []time.Time{start.Add(time.Hour)}})
		if s := p.Status()[0]; s.Known != Unknown {
			t.Errorf("list: %s (%s), want unknown", s.Limit, s.Known)
		}
		if c := takeCall(t, p, onlyStream); c.At.Sub(start) != slot {
			t.Errorf("call after %v, want %v", c.At.Sub(start), slot)
		}
		if sent := kept(t, p)[1].Sent; len(sent) != 1 {
			t.Errorf("%v are kept, want one: that of the future is over", sent)
		}
	})
}
