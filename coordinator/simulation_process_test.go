package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"sluice/coordinator"
	"sluice/fetch"
	"sluice/fetch/datasync"
	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/sink/audit"
)

// process is one start of the program.
type process struct {
	*simulation
	number   int
	pacer    *quota.Pacer
	client   *datasync.Client
	cancel   context.CancelCauseFunc
	usurped  chan struct{}
	over     chan struct{}
	calm     bool // it started after the last fault
	lost     bool // its lock
	dead     bool
	stopped  time.Time
	complete bool
	vain     bool // it did not find the database
}

func (s *simulation) start() *process {
	s.runs++
	p := &process{simulation: s, number: s.runs, usurped: make(chan struct{}), over: make(chan struct{}), calm: s.weather.calm.Load()}
	config := s.scenario.pacer
	config.Log = slog.New(slog.DiscardHandler)
	var err error
	if p.pacer, err = quota.NewPacer(config); err != nil {
		panic(err)
	}
	s.forgetBans()
	if err := p.pacer.Join(context.Background(), quotaTable{p}, fmt.Sprint(p.number)); err != nil {
		panic(err)
	}
	s.mu.Lock()
	for _, r := range s.rows { // whoever takes the job takes its shards
		if r.State != shard.Done {
			r.run = p.number
		}
	}
	s.current = p
	s.mu.Unlock()
	p.client, err = datasync.New(datasync.Config{
		BaseURL: "http://api.test", Key: "ds_simulation", MadeCursors: s.made,
		Fetch: fetch.Config{
			Fetchers: s.fetchers, Pacer: p.pacer, Log: config.Log, Transport: &line{s, p}, Seed: s.seed<<10 + uint64(p.number),
		},
	})
	if err != nil {
		panic(err)
	}
	p.client.SetCapabilities(s.caps)
	ctx, cancel := context.WithCancelCause(context.Background())
	p.cancel = cancel
	s.say("p%d starts", p.number)
	s.processes.Go(func() { p.live(ctx) })
	return p
}

// forgetBans notes what a process that was killed has been told, and could not write down any more.
func (s *simulation) forgetBans() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.bans { // the words of a refusal take 2 s at most
		b.forgotten = b.forgotten || !b.since.Add(2*time.Second).Before(s.savedAt)
	}
}

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// kill ends the process as kill -9 does: of what it had sent to the database, some lands and some does not.
func (p *process) kill() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.say("p%d is killed", p.number)
	for _, e := range p.stage.of(p) {
		if e.last != nil && p.weather.dice.IntN(2) == 0 {
			p.say("%s lands all the same", e.name)
			e.last()
		}
	}
	p.cancel(errDead)
}

// terminate tells the process to drain.
func (p *process) terminate(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead || !p.stopped.IsZero() {
		return
	}
	p.stopped = time.Now()
	p.say("p%d is told to stop: %v", p.number, why)
	p.cancel(why)
}

// live is the program: walk, check, and walk what falls short once more.
func (p *process) live(ctx context.Context) {
	defer close(p.over)
	defer p.cancel(nil)
	for again := false; ; again = true {
		o, err := p.walk(ctx)
		p.say("p%d is over: %d done, %d left, %d failed, cause %v, %v", p.number, o.Done, o.Left, len(o.Failures), o.Cause, err)
		if err != nil || o.Cause != nil || len(o.Failures) > 0 || p.isDead() {
			break
		}
		p.expect(o.Left == 0, "p%d left %d shards without saying why", p.number, o.Left)
		verdict := audit.Judge(p.audit(), p.total(), p.total())
		p.say("p%d: %s", p.number, verdict.Summary())
		if verdict.OK {
			p.complete = true
			p.believe()
			break
		}
		p.expect(p.exact() != nil, "p%d has exactly what the API has, and says that it has not: %v", p.number, verdict.Findings)
		if again || len(verdict.Reopen) == 0 {
			break
		}
		p.reopen(verdict.Reopen)
	}
	_ = p.pacer.Leave(context.Background())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true // what it left behind dies with it
	if !p.stopped.IsZero() && time.Since(p.stopped) > drain+time.Second {
		p.failLocked(fmt.Errorf("p%d took %s to stop", p.number, time.Since(p.stopped)))
	}
}

// believe holds a process that says that all is complete against the truth. The one thing that it cannot see: an end that was a
// lie, and its confirmation as well, while as many malformed records without an id were read twice.
func (p *process) believe() {
	err := p.exact()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
	case p.fooled > 0 && p.blind() > 0:
		p.unnoticed++
	default:
		p.failLocked(fmt.Errorf("p%d says that all is complete, but %w", p.number, err))
	}
}

const drain = 8 * time.Second

// total is what the API says of the number of its events.
func (p *process) total() int64 {
	n, _ := p.client.Total()
	return max(n, 0)
}

func (p *process) walk(ctx context.Context) (coordinator.Outcome, error) {
	store := &database{p.simulation, p}
	checkpoints, err := store.Load(ctx)
	if err != nil {
		p.vain = true
		return coordinator.Outcome{}, err
	}
	c, err := coordinator.New(coordinator.Config{
		Fetchers: p.fetchers, Limits: p.limits, Drain: drain, Sequential: !p.caps.Windows(),
		Oldest: shard.InstantOf(p.scenario.api.Oldest), Log: slog.New(slog.DiscardHandler),
	}, &named{p.client, p.simulation}, store, checkpoints)
	if err != nil {
		panic(err)
	}
	c.Seed(p.seed<<10 + uint64(p.number))
	o, err := c.Run(ctx)
	if err == nil {
		p.judge(o)
	}
	return o, err
}

// judge holds an outcome against the ledger.
func (p *process) judge(o coordinator.Outcome) {
	for _, f := range o.Failures {
		p.mu.Lock()
		p.failedShards++
		p.mu.Unlock()
		var stuck *shard.StuckError
		p.expect(p.isDead() || errors.As(f.Err, &stuck) && !p.calm || errors.Is(f.Err, errPermanent),
			"p%d: shard %d failed: %v", p.number, f.Shard, f.Err)
	}
	if done := p.done(); !p.isDead() && p.weather.struck[badFailover] == 0 {
		p.expect(o.Done <= done, "p%d says that it has done %d shards, but the ledger has only %d as done", p.number, o.Done, done)
	}
	if o.Cause == nil && len(o.Failures) == 0 && o.Left == 0 && !p.isDead() {
		p.expect(p.allDone(), "p%d has done %d shards and says that it left none, but the ledger has unfinished ones", p.number, o.Done)
	}
}

func (s *simulation) expect(ok bool, format string, args ...any) {
	if !ok {
		s.fail(fmt.Errorf(format, args...))
	}
}

// named is the client, and says on every request which shard it is for.
type named struct {
	*datasync.Client
	*simulation
}

// Pages takes some microseconds for every page, as the real one does, and other ones for each shard: two that come back to the
// pacer in the same moment would leave to chance who is first.
func (n *named) Pages(ctx context.Context, from shard.Position) iter.Seq2[shard.Page, error] {
	number := 0
	n.mu.Lock()
	for _, r := range n.rows {
		if r.Window.End == from.End {
			number = r.Shard
		}
	}
	n.mu.Unlock()
	return func(yield func(shard.Page, error) bool) {
		for page, err := range n.Client.Pages(context.WithValue(ctx, asks{}, number), from) {
			time.Sleep(time.Duration(number) * time.Microsecond)
			if !yield(page, err) {
				return
			}
		}
	}
}
