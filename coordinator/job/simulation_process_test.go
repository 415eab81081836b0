package job_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"time"

	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/coordinator/ledger/memstore"
	"sluice/fetch"
	"sluice/fetch/datasync"
	"sluice/fetch/decode"
	"sluice/fetch/quota"
	"sluice/shard"
)

// process is one start of the program, with one command.
type process struct {
	*simulation
	act
	number  int
	job     string
	store   *memstore.Store
	cancel  context.CancelCauseFunc
	usurped chan struct{}
	over    chan struct{}
	calm    bool // it started after the last fault
	started time.Time
	joined  time.Time // the quotas
	looked  time.Time // at the newest page, the last time
	counted time.Time // when it looked at the rows, the last time
	savedAt time.Time // the quotas, the last time
	found   bool      // it has found the database
	vain    bool      // it did not
	lost    bool      // its lock
	dead    bool
	stopped time.Time

	unanswered *memstore.Statement // whose answer is going to be lost
	fresh      bool                // a step of a follow has just ended
	well       bool                // a step of a follow was complete
	idle       bool                // the step has finished no round
	since      time.Time           // before the step under way
	watermark  shard.Instant       // at that time
	verdict    job.Verdict
}

const (
	jobA = "a"
	jobB = "b" // another one of the same source
)

const drain = 8 * time.Second

func (p *process) run() string { return fmt.Sprintf("p%d", p.number) }

// start starts a process.
func (s *simulation) start(a act) *process {
	s.mu.Lock()
	s.runs++
	s.did[a.do]++
	p := &process{
		simulation: s, act: a, number: s.runs, job: jobA, usurped: make(chan struct{}), over: make(chan struct{}),
		calm: s.weather.calm.Load(), started: time.Now(),
	}
	if a.job != "" {
		p.job = a.job
	}
	s.alive = append(s.alive, p)
	s.mu.Unlock()
	p.store = s.db.Open(p.job, p.run(), wire{s, p})
	ctx, cancel := context.WithCancelCause(context.Background())
	p.cancel = cancel
	s.say("p%d starts: %s of job %s", p.number, p.do, p.job)
	s.processes.Go(func() { p.live(ctx) })
	return p
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
	p.store.End()
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

// loseLock ends the session that holds the job's lock: another process may take it before this one notices.
func (p *process) loseLock() {
	p.say("p%d lost its lock", p.number)
	p.store.End()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = true
	close(p.usurped)
}

// live is the program.
func (p *process) live(ctx context.Context) {
	defer close(p.over)
	defer p.cancel(nil)
	p.step()
	v := p.obey(ctx)
	p.mu.Lock()
	dead := p.dead
	p.dead, p.verdict = true, v // whatever it left behind dies with it
	p.say("p%d is over: %s: %s %v %v", p.number, v.Status, v.Text, v.Findings, v.Err)
	if !dead && !p.stopped.IsZero() && time.Since(p.stopped) > drain+3*time.Second+10*time.Second {
		p.failLocked(fmt.Errorf("p%d took %s to stop", p.number, time.Since(p.stopped)))
	}
	p.mu.Unlock()
	if !dead {
		p.judge(v)
	}
}

// obey runs the command.
func (p *process) obey(ctx context.Context) job.Verdict {
	config := p.config()
	switch p.do {
	case verify, repair, foreign, lost:
		v := job.Verify(ctx, config, job.Verifying{Repair: p.do == repair, AcceptForeign: p.do == foreign, AcceptLost: p.do == lost})
		p.reopened += v.Reopened
		return v.Verdict
	case replay:
		_, v := job.Replay(ctx, config, job.Replaying{Decode: p.decode})
		return v
	}
	j, err := job.Open(ctx, config)
	if err != nil {
		var e *job.Error
		if !errors.As(err, &e) {
			return job.Verdict{Status: job.Broken, Text: err.Error(), Err: err}
		}
		return job.Verdict{Status: e.Status, Text: e.Error(), Err: e}
	}
	defer j.Close()
	switch p.do {
	case syncOnce:
		return j.Sync(ctx)
	case follow:
		return j.Follow(ctx)
	case again:
		return j.Backfill(ctx, true)
	}
	return j.Load(ctx)
}

func (p *process) config() job.Config {
	c := job.Config{
		Name: p.job, SourceName: source, Span: p.act.span(p.simulation), Store: p.store, Connect: p.connect, Shards: p.shards, Fetchers: p.fetchers,
		Limits: p.limits, Drain: drain, Lookback: p.lookback, Every: p.every, Run: p.run(), Seed: p.seed<<10 + uint64(p.number),
		Log: slog.New(slog.DiscardHandler), Hooks: job.Hooks{Stepped: p.stepped, Rest: p.rested},
	}
	return c
}

// connect makes the client.
func (p *process) connect(context.Context) (job.Source, error) {
	config := p.pacer
	config.Log = slog.New(slog.DiscardHandler)
	pacer, err := quota.NewPacer(config)
	if err != nil {
		return nil, err
	}
	client, err := datasync.New(datasync.Config{
		BaseURL: source, Key: "ds_simulation", MadeCursors: p.made,
		Fetch: fetch.Config{
			Fetchers: p.fetchers, Pacer: pacer, Log: config.Log, Transport: &line{p.simulation, p}, Seed: p.seed<<10 + uint64(p.number),
		},
	})
	return named{client, p}, err
}

// decode is a later version of the decoder: it reads half of the malformed records.
func (p *process) decode(raw []byte) (shard.Event, *shard.Reject) {
	e, reject := decode.Record(raw)
	if reject == nil {
		return e, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.truth.bySum[reject.SHA256]
	if !ok || reject.SHA256[0]%2 == 0 {
		return e, reject
	}
	return p.truth.records[i].event(), nil
}

// step notes what is there before the next step: all of that is owed once the step is complete.
func (p *process) step() {
	var watermark shard.Instant
	p.db.Look(func(t *memstore.Tables) {
		if j := t.Job(p.job); j != nil && j.Verified() {
			watermark = j.Watermark
		}
	})
	p.since, p.watermark, p.idle = time.Now(), watermark, true
}

// stepped is called after each step of a follow, and rested at once after that and then every second.
func (p *process) stepped(context.Context) { p.fresh = true }

func (p *process) rested(v job.Verdict) {
	if p.fresh && !p.isDead() {
		p.say("p%d: %s: %s %v", p.number, v.Status, v.Text, v.Findings)
		if v.Status == job.Complete {
			p.well = true
			p.believe(v.Text)
		}
	}
	p.fresh = false
	p.step()
}

// believe holds a process that says that all is complete against the truth. The one thing that it can't see: an end that was a
// lie, and its confirmation as well, while as many malformed records without an id were read twice, or no total is known.
func (p *process) believe(text string) {
	p.mu.Lock()
	shown, first := p.planned[p.job], p.watermark == 0
	if p.foreign {
		p.failLocked(fmt.Errorf("p%d says that all is complete, and the source is another", p.number))
	}
	p.mu.Unlock()
	err := p.owed(p.job, shown, shard.Past, p.counted)
	switch {
	case err != nil || first: // of a first load, later records are owed by no one
	case p.do == again:
		err = p.owed(p.job, p.since, shard.Past, p.counted)
	case (p.do == syncOnce || p.do == follow) && p.idle && !strings.HasPrefix(text, "nothing is new"): // the first load once more
	case p.do == syncOnce, p.do == follow:
		err = p.owed(p.job, p.roundLooked(), shard.Past, p.counted) // none comes later than the lookback
	}
	switch {
	case err == nil:
	case p.fooled > 2, p.fooled > 0 && (p.blind() > 0 || p.windows != nil): // three readings, and each was told the same lie twice
		p.unnoticed++
	default:
		p.fail(fmt.Errorf("p%d says that all is complete, but %w", p.number, err))
	}
}

// roundLooked returns when the source was looked at for the round that the step has finished, or for the step if it had none to do.
func (p *process) roundLooked() time.Time {
	if p.idle {
		return p.since
	}
	last := 0
	p.db.Look(func(t *memstore.Tables) {
		if j := t.Job(p.job); j != nil {
			last = t.LastRound(j.ID)
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.rounded[roundOf{p.job, last}]; at.Before(p.since) {
		return at
	}
	return p.since
}

// judge holds a verdict against the tables.
func (p *process) judge(v job.Verdict) {
	p.mu.Lock()
	p.ended[v.Status.String()]++
	stopped := !p.stopped.IsZero()
	p.mu.Unlock()
	var stuck *shard.StuckError
	switch v.Status {
	case job.Complete:
		if p.do == follow || p.do == replay && v.Text == "" { // a follow was judged at each step; a replay may have had nothing to do
			return
		}
		p.believe(v.Text)
	case job.Doubt:
		p.expect(!p.well || stopped, "p%d: a follow that was well has ended: %s %v", p.number, v.Text, v.Findings)
		intact := p.exact(p.job) == nil && !p.truth.live && len(p.crippled) == 0 && p.total == nil && !p.foreign
		var doubts *job.DoubtError
		if errors.As(v.Err, &doubts) && doubts.Doubts[0].Kind == ledger.DoubtLost && (len(p.api.Records) > 0 || p.simulation.span != ledger.Everything) {
			// Read again, the row of an id may be the other one of two: its window is short of one. And a few records beyond the span, stored
			// because they were too few to prove its end, may be left out.
			intact = false
		}
		p.expect(!intact || stopped, "p%d: everything is there, and it says: %s %v", p.number, v.Text, v.Findings)
	case job.Broken, job.Misused:
		if errors.Is(v.Err, job.ErrNoJob) {
			return
		}
		p.fail(fmt.Errorf("p%d ended %s: %v", p.number, v.Status, v.Err))
	case job.Locked:
		p.expect(p.hasLost() || p.act.beside || p.do == repair || p.simulation.shared(p), "p%d is locked out, and there is no other", p.number)
	case job.Left:
		if errors.As(v.Err, &stuck) {
			p.failedShards++
			p.expect(!p.calm, "p%d: a shard failed in the calm: %v", p.number, v.Findings)
		}
	}
}

// named is the client, and says on every request what it is for.
type named struct {
	*datasync.Client
	p *process
}

func asking(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, asks{}, asker{name: name})
}

func (a named) look() { a.p.looked = time.Now() }

func (a named) Survey(ctx context.Context, oldest shard.Instant) (shard.Survey, error) {
	a.look()
	return a.Client.Survey(asking(ctx, "survey"), oldest)
}

func (a named) Latest(ctx context.Context) (shard.Latest, error) {
	a.look()
	return a.Client.Latest(asking(ctx, "latest"))
}

func (a named) AskTotal(ctx context.Context) (int64, error) {
	return a.Client.AskTotal(asking(ctx, "total"))
}

func (a named) Join(ctx context.Context, store ledger.Quotas, source, run string) error {
	err := a.Client.Join(ctx, store, source, run)
	a.p.joinedNow()
	return err
}

func (a named) Share(ctx context.Context) error {
	return a.Client.Share(context.WithValue(ctx, keeper{}, true))
}

// joinedNow marks the refusals that died with a process before it could save them: no other process can know of them.
func (p *process) joinedNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.joined = time.Now()
	for _, b := range p.bans { // the words of a refusal take 2 s at most
		b.forgotten = b.forgotten || !b.since.Add(2*time.Second).Before(b.told.savedAt)
	}
}

// Pages takes some microseconds for every page, as the real one does, and other ones for each shard: two that come back to the
// pacer in the same moment would leave to chance who is first.
func (a named) Pages(ctx context.Context, from shard.Position) iter.Seq2[shard.Page, error] {
	who, number := asker{name: "shard"}, 0
	a.p.db.Look(func(t *memstore.Tables) {
		j := t.Job(a.p.job)
		if j == nil {
			return
		}
		for _, sh := range t.Round(j.ID, j.Round) {
			if sh.Window.End == from.End {
				number = sh.Shard
				who = asker{fmt.Sprintf("shard %d", sh.Shard), sh.ID}
			}
		}
	})
	return func(yield func(shard.Page, error) bool) {
		for page, err := range a.Client.Pages(context.WithValue(ctx, asks{}, who), from) {
			time.Sleep(time.Duration(number) * time.Microsecond)
			if !yield(page, err) {
				return
			}
		}
	}
}

func (p *process) hasLost() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}
