package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var (
	errKilled  = errors.New("killed")
	errStopped = errors.New("stopped")
)

// settings are how a world is walked.
type settings struct {
	Seed     uint64
	Limit    int
	Pieces   int
	Until    untilMode
	LeadWins bool
	HandOver bool // a shard begins with the cursor of its newer neighbour
	TTL      time.Duration
	Limits   Limits
	Budget   int64
	PageSize int
	API      apiFaults
	Sink     sinkFaults
	SinkTook time.Duration
	Kills    float64 // per step, as all that follow
	Stops    float64
	Calm     int // number of steps after which there are no more faults
	Single   single
}

// single is one fault in an otherwise calm run.
type single struct {
	Answer int // number of the API's answer, from 1; 0 means none
	Commit int
	API    apiFaults
	Sink   sinkFaults
	Kill   bool
	Stop   bool
}

// outcome is what a simulation has seen.
type outcome struct {
	*table
	apis    []*api
	steps   atomic.Int64
	stuck   int // attempts that ended with a StuckError
	blurred int
	fooled  int // shards whose end was a lie, and its confirmation as well
	took    time.Duration
}

// simulate walks all shards of a world to their ends, restarting each after every fault as a coordinator would, and compares the
// result with the API's records.
func simulate(t *testing.T, w world, s settings) (*outcome, error) {
	var o *outcome
	var err error
	synctest.Test(t, func(*testing.T) {
		began := time.Now()
		sim := newSimulation(w, s)
		o = &sim.outcome
		err = sim.run()
		o.took = time.Since(began)
	})
	return o, err
}

type simulation struct {
	outcome
	world
	settings
	budget *Budget
	dice   *rand.Rand // of the driver

	answers, commits int // so far, for the single fault
	fooled           map[Window]bool

	kill, stop context.CancelCauseFunc // of the attempt under way
	calmed     bool
	fuse       atomic.Int64 // step of the attempt at which it is killed or stopped; 0 means never
	gentle     bool
}

func newSimulation(w world, s settings) *simulation {
	sim := &simulation{world: w, settings: s, budget: NewBudget(cmp.Or(s.Budget, 1<<30), 0), fooled: map[Window]bool{}}
	sim.dice = sim.random(0)
	sim.table = newTable(w.checkpoints(), w.Records)
	sim.table.Faults, sim.table.Rand, sim.table.Latency = s.Sink, sim.random(1), s.SinkTook
	sim.table.Step = func() {
		sim.step()
		if s.Single.Commit > 0 {
			sim.commits++
			sim.table.Faults = sinkFaults{}
			if sim.commits == s.Single.Commit {
				sim.table.Faults = s.Single.Sink
				sim.strike()
			}
		}
	}
	return sim
}

func (s *simulation) random(n uint64) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, n)) }

// run walks the shards newest first, each to its end.
func (s *simulation) run() error {
	rows := s.checkpoints()
	slices.SortFunc(rows, NewestFirst)
	for i, row := range rows {
		a := s.api(row)
		s.apis = append(s.apis, a)
		if i > 0 && s.HandOver {
			newer := s.Load(rows[i-1].ID)
			s.shards[row.ID].Cursor, s.shards[row.ID].CursorExpires = newer.Cursor, newer.CursorExpires
		}
		s.table.Check = func(t *table, row *Checkpoint) error { return s.check(t, row, a) }
		if err := s.finish(row.ID, a); err != nil {
			return fmt.Errorf("shard %d %s: %w", row.Shard, row.Window, err)
		}
	}
	s.outcome.fooled = len(s.fooled)
	blurred, err := s.complete(s.table, func(w Window) bool { return s.fooled[w] })
	s.blurred = blurred
	return cmp.Or(s.wrong, err)
}

func (s *simulation) api(row Checkpoint) *api {
	a := &api{
		Records: s.Records, Limit: s.Limit, Pieces: s.Pieces, Until: s.Until, LeadWins: s.LeadWins, Latency: 100 * time.Millisecond,
		TTL: s.TTL, Faults: s.settings.API, Rand: s.random(uint64(row.ID) + 1), PageSize: s.PageSize,
		minted: int(row.ID) * 1_000_000, // the cursors of two shards are never the same
	}
	a.Step = func() {
		s.step()
		if s.Single.Answer > 0 {
			s.answers++
			a.Faults = apiFaults{}
			if s.answers == s.Single.Answer {
				a.Faults = s.Single.API
				s.strike()
			}
		}
	}
	return a
}

// strike kills or stops the attempt under way, if that is the single fault.
func (s *simulation) strike() {
	switch {
	case s.Single.Kill:
		s.kill(errKilled)
	case s.Single.Stop:
		s.stop(errStopped)
	}
}

// finish runs a shard again and again until its row says that it is done.
func (s *simulation) finish(id int64, a *api) error {
	stuck := 0
	for range 2000 {
		if s.Load(id).Proof != "" {
			return nil
		}
		s.calm(a)
		err := s.attempt(s.Load(id), a)
		if !s.budget.whole() {
			return fmt.Errorf("the budget is not given back after: %w", err)
		}
		if err := s.classify(err, s.Load(id), &stuck); err != nil {
			return err
		}
		time.Sleep(time.Duration(s.dice.Int64N(int64(40 * time.Second))))
	}
	return errors.New("2000 attempts did not bring the shard to its end")
}

// calm ends the faults after enough of them, so that the shard must come to its end.
func (s *simulation) calm(a *api) {
	if s.calmed = s.steps.Load() >= int64(s.Calm); s.calmed && s.Single == (single{}) {
		a.Faults, a.TTL, s.table.Faults, s.Kills, s.Stops = apiFaults{}, 0, sinkFaults{}, 0, 0
	}
}

func (s *simulation) attempt(from Checkpoint, a *api) error {
	work, kill := context.WithCancelCause(context.Background())
	ctx, stop := context.WithCancelCause(work)
	defer kill(nil)
	defer stop(nil)
	s.kill, s.stop, s.gentle = kill, stop, s.dice.Float64()*(s.Kills+s.Stops) > s.Kills
	s.fuse.Store(0)
	if p := s.Kills + s.Stops; p > 0 {
		s.fuse.Store(1 + int64(s.dice.ExpFloat64()/p))
	}
	attempt := &Attempt{Source: a, Sink: s.table, From: from, Limits: s.Limits, Budget: s.budget, Stats: &Stats{},
		Log: quiet()}
	return attempt.Run(ctx, work)
}

// step is called before each answer of the API and each commit.
func (s *simulation) step() {
	s.steps.Add(1)
	if s.fuse.Add(-1) != 0 {
		return
	}
	if s.gentle {
		s.stop(errStopped)
	} else {
		s.kill(errKilled)
	}
}

// classify treats the end of an attempt as a coordinator does. It returns an error if the shard cannot be finished.
func (s *simulation) classify(err error, row Checkpoint, stuck *int) error {
	var transient *TransientError
	var limit *StuckError
	switch {
	case err == nil && row.Proof == "":
		return errors.New("the attempt is over without an error and without a proof")
	case err == nil, errors.Is(err, errKilled), errors.Is(err, errStopped), errors.Is(err, ErrStale), errors.As(err, &transient):
		*stuck = 0
		return nil
	case errors.As(err, &limit) && !s.calmed:
		s.stuck++ // perhaps because of the faults
		return nil
	case errors.As(err, &limit):
		s.stuck++
		*stuck++
		if *stuck < limit.Limit {
			return nil
		}
	}
	return err
}

// check runs after each commit: everything before the position in the row must be stored.
func (s *simulation) check(t *table, row *Checkpoint, a *api) error {
	before := 0
	if !row.Resume.IsZero() {
		before = s.index(row.Resume) + 1
	}
	if row.Cursor != "" {
		before = max(before, parseCursor(row.Cursor).pos)
	}
	if row.Proof == ProofConfirmed && (a.Lies > 1 || s.settings.API.LieTwice && a.told > 1) {
		s.fooled[row.Window] = true
	} else if row.Proof != "" {
		before = len(s.Records)
	}
	if err := s.covered(t, row.Window, before); err != nil {
		return fmt.Errorf("after commit %d of shard %d (proof %q): %w", row.Seq, row.Shard, row.Proof, err)
	}
	return nil
}

// drawSettings draws everything but the faults.
func drawSettings(t *rapid.T) settings {
	s := settings{
		Seed:     rapid.Uint64().Draw(t, "seed"),
		Limit:    rapid.SampledFrom(append(upTo(50), upTo(10)...)).Draw(t, "limit"),
		Pieces:   rapid.IntRange(1, 3).Draw(t, "pieces"),
		Until:    rapid.SampledFrom([]untilMode{untilExclusive, untilInclusive, untilMillis, untilRefused}).Draw(t, "until"),
		LeadWins: rapid.Bool().Draw(t, "lead wins"),
		HandOver: rapid.Bool().Draw(t, "hand over"),
		Limits: Limits{
			QueuePages: rapid.IntRange(1, 3).Draw(t, "queue"),
			BatchRows:  rapid.SampledFrom([]int{1, 10, 20_000}).Draw(t, "batch"),
		},
		PageSize: 1000,
		Budget:   rapid.SampledFrom([]int64{1, 1500, 5000, 1 << 30}).Draw(t, "budget"),
		SinkTook: rapid.SampledFrom([]time.Duration{0, 30 * time.Millisecond, 2 * time.Second}).Draw(t, "sink took"),
	}
	s.HandOver = s.Until == untilRefused || s.HandOver && s.LeadWins // cursors are handed over only if timestamps are not used
	return s
}

// drawFaults draws the rates of faults; half of the kinds are off.
func drawFaults(t *rapid.T, s *settings) {
	rate := func(name string, most int) float64 {
		return float64(rapid.SampledFrom(append(make([]int, most), upTo(most)...)).Draw(t, name)) / 100
	}
	s.API = apiFaults{
		Transient: rate("transient", 20), EarlyEnd: rate("early end", 20), EmptyMore: rate("empty", 30),
		Duplicate: rate("duplicate", 20), Cycle: rate("cycle", 10), CursorDies: rate("cursor dies", 20), Ignore: rate("ignore", 5),
	}
	s.Sink = sinkFaults{Stale: rate("stale", 5), Before: rate("before", 10), Unknown: rate("unknown", 10)}
	s.Kills, s.Stops = rate("kills", 10), rate("stops", 10)
	s.TTL = rapid.SampledFrom([]time.Duration{0, time.Second, 5 * time.Second, 2 * time.Minute}).Draw(t, "ttl")
	s.Calm = 600
}

// Whatever the history, the windows and the faults: after all shards are done, everything is stored exactly once.
func TestRunSwarm(t *testing.T) {
	var runs, steps, stuck, blurred int
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, worldOptions{Max: 150, Bad: 5, Skewed: 4, Rivals: 5, Finite: rapid.Bool().Draw(rt, "finite")})
		s := drawSettings(rt)
		drawFaults(rt, &s)
		o, err := simulate(t, w, s)
		if err != nil {
			rt.Fatalf("%v", err)
		}
		if o.took > 24*time.Hour {
			rt.Fatalf("the shards took %s of virtual time, %d steps", o.took, o.steps.Load())
		}
		runs, steps, stuck, blurred = runs+1, steps+int(o.steps.Load()), stuck+o.stuck, blurred+o.blurred
	})
	t.Logf("%d runs, %d steps, %d stuck attempts, %d blurred records", runs, steps, stuck, blurred)
}

// Without faults the work is minimal: no more pages than the windows need, and nothing stored twice.
func TestRunCalm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, worldOptions{Max: 150, Bad: 5, Rivals: 5})
		s := drawSettings(rt)
		o, err := simulate(t, w, s)
		if err != nil {
			rt.Fatalf("%v", err)
		}
		if err := exact(w, s, o); err != nil {
			rt.Fatalf("%v", err)
		}
	})
}

// exact compares a run without faults with the least possible work.
func exact(w world, s settings, o *outcome) error {
	unproven := 0
	for i, a := range o.apis { // newest first
		row := o.Load(int64(len(o.apis) - i))
		cursor := ""
		if i > 0 && s.HandOver {
			cursor = o.Load(row.ID + 1).Cursor
		}
		want, again := w.leastPages(s, row.Window, cursor)
		quiet := w.quiet(s, row.Window)
		least := want
		if s.Pieces > 1 {
			least -= again
		}
		if a.Asked < least || a.Asked > want+quiet {
			return fmt.Errorf("shard %d %s requested %d pages, want %d, and up to %d more", row.Shard, row.Window, a.Asked, want, quiet)
		}
		unproven += w.unproven(s, row.Window)
		if again > 1 || quiet > 0 || s.Pieces > 1 || s.Until != untilRefused {
			unproven += (again + quiet) * s.Limit // records in a piece without the end are not recognized, nor those of one instant
		}
	}
	var strays int64
	for _, row := range o.shards {
		strays += row.Counts.OutOfOrder
	}
	if o.twice > unproven || strays > int64(unproven) || o.stuck > 0 {
		return fmt.Errorf("%d records stored twice, %d out of order, %d attempts stuck; %d records allow no proof",
			o.twice, strays, o.stuck, unproven)
	}
	return nil
}

// An API that confirms its own lie can fool a shard. Then, and only then, records are missing.
func TestRunFooled(t *testing.T) {
	runs, fooled := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, worldOptions{Max: 100, Bad: 2, Skewed: 2, Rivals: 5})
		s := drawSettings(rt)
		s.API = apiFaults{EarlyEnd: 0.3, LieTwice: true}
		s.Kills, s.Calm = 0.02, 2000
		o, err := simulate(t, w, s)
		if err != nil {
			rt.Fatalf("%v", err)
		}
		runs, fooled = runs+1, fooled+o.fooled
	})
	t.Logf("%d runs, %d shards got a false end confirmed", runs, fooled)
}

// Each kind of fault, at each position of a run without other faults: nothing is lost, and the fault costs a few pages, not a
// window.
func TestRunSingleFault(t *testing.T) {
	kinds := map[string]single{
		"kill":             {Kill: true},
		"stop":             {Stop: true},
		"server error":     {API: apiFaults{Transient: 1}},
		"cursor dies":      {API: apiFaults{CursorDies: 1}},
		"early end":        {API: apiFaults{EarlyEnd: 1}},
		"empty page":       {API: apiFaults{EmptyMore: 1}},
		"duplicate":        {API: apiFaults{Duplicate: 1}},
		"cycle":            {API: apiFaults{Cycle: 1}},
		"position ignored": {API: apiFaults{Ignore: 1}},
		"stale":            {Sink: sinkFaults{Stale: 1}},
		"sink failed":      {Sink: sinkFaults{Before: 1}},
		"sink unknown":     {Sink: sinkFaults{Unknown: 1}},
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
				t.Errorf("the fault made a difference in only %d runs", fired)
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
	// A page in hand, the queue, a commit, and what it takes to confirm an end or to find the position.
	allowed := s.Limits.QueuePages + 4
	if until == untilRefused {
		allowed += len(w.Records)/s.Limit + 2 // a position that can only be reached from the top
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
