package job_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/coordinator/ledger/memstore"
	"sluice/shard"
)

// command is what an operator can start.
type command string

const (
	load     command = "load"
	syncOnce command = "sync"
	follow   command = "follow"
	again    command = "backfill --again"
	verify   command = "verify"
	repair   command = "verify --repair"
	foreign  command = "verify --accept-foreign"
	lost     command = "verify --accept-lost"
	replay   command = "dead-letters replay"
	byHand   command = "by hand"
)

// act is one thing that an operator does.
type act struct {
	do     command
	job    string        // default a
	spans  shard.Window  // of the job, if it is not that of the scenario
	lasts  time.Duration // a follow is stopped after that; a change by hand is followed by a pause
	after  time.Duration // the act before goes on meanwhile, and this one begins after that: it is tried once
	beside bool          // set if after is
	once   bool          // not again, whatever comes of it
	hand   func(*simulation, *memstore.Tables)
	name   string // of a change by hand
	kills  bool   // by hand: all processes
}

func (a *act) span(s *simulation) shard.Window {
	if a.job == jobB {
		return cmp.Or(a.spans, ledger.Everything)
	}
	return s.scenario.span
}

const (
	maxRuns     = 400            // that found the database: by contract one that does not ends at once, and outages are long
	maxCalm     = 12 * time.Hour // of virtual time for an act, once the faults have ended
	maxCalmStep = 6000
)

// drive performs one act after the other. Like an operator, it repeats a command until that reports that the job is complete.
func (s *simulation) drive() error {
	dice := rand.New(rand.NewPCG(s.seed, 4))
	for i := 0; i < len(s.plot) && !s.hasFailed(); i++ {
		a := s.plot[i]
		var beside *act
		if i+1 < len(s.plot) && s.plot[i+1].after > 0 {
			i++
			beside = &s.plot[i]
			beside.beside = true
		}
		if err := s.perform(dice, a, beside); err != nil {
			return err
		}
	}
	return s.wrongNow()
}

// perform does an act until it is done, with another one beside its first try.
func (s *simulation) perform(dice *rand.Rand, a act, beside *act) error {
	if a.do == byHand {
		s.change(a)
		return nil
	}
	s.patient()
	advised := map[command]int{}
	limit := time.NewTimer(2000 * time.Hour)
	defer limit.Stop()
	ends := time.Now().Add(a.lasts)
	for run := 0; run-s.vain < s.patience; run++ {
		p := s.holder(a)
		if p == nil {
			p = s.start(a)
		}
		if beside != nil {
			s.besides(*beside)
			beside = nil
		}
		var stop <-chan time.Time
		if a.do == follow {
			timer := time.NewTimer(max(0, time.Until(ends)))
			defer timer.Stop()
			stop = timer.C
		}
		if err := s.await(p, stop, limit.C); err != nil {
			return err
		}
		if p.vain || p.verdict.Status == job.Locked { // a follow holds the job for hours
			s.vain++
		}
		if s.hasFailed() || s.finished(p, run, ends) {
			return s.wrongNow()
		}
		if a.do == follow {
			s.patient()
		}
		if err := s.tooLong(); err != nil {
			return err
		}
		switch {
		case a.do == again:
			a.do = load
		case a.do == follow && !time.Now().Before(ends):
			for _, other := range s.living() { // a follow that lost the job, and was forgotten, may hold it again
				if other.do == follow && other.job == p.job {
					other.terminate(errors.New("stopped by the operator"))
				}
			}
			a.do = syncOnce
		}
		if advice := s.advice(p); advice != "" {
			if advised[advice]++; advised[advice] > 2 && p.calm {
				return fmt.Errorf("%s: advice loop: %s was done twice, and is advised again: %s", a.do, advice, p.verdict.Text)
			}
			if err := s.perform(dice, act{do: advice, job: p.job, once: advice == again}, nil); err != nil {
				return err
			}
		}
		time.Sleep(between(dice, time.Millisecond, time.Minute))
	}
	return fmt.Errorf("%s: not done in %d runs", a.do, s.patience)
}

// await waits until a process is over, or may be replaced because it has lost its lock. A follow is stopped when its time is up.
func (s *simulation) await(p *process, stop, limit <-chan time.Time) error {
	usurped := p.usurped
	if p.hasLost() {
		usurped = nil // it took the lock again
	}
	for {
		select {
		case <-stop:
			p.terminate(errors.New("stopped by the operator"))
		case <-p.over:
			return nil
		case <-usurped:
			return nil
		case <-limit:
			p.kill()
			return errors.New("nothing moves any more")
		}
	}
}

// holder returns the process that lost the lock of a job and took it again before another one did; nil if there is none.
func (s *simulation) holder(a act) *process {
	run := s.db.Holder(cmp.Or(a.job, jobA))
	for _, p := range s.living() {
		if p.run() == run && p.hasLost() && p.do == a.do {
			return p
		}
	}
	return nil
}

// advice is what the command line advises to do about a doubt before the same command is started again; empty if nothing.
func (s *simulation) advice(p *process) command {
	s.mu.Lock()
	defer s.mu.Unlock()
	var doubts *job.DoubtError
	if p.do != load && p.do != again && p.do != syncOnce && p.do != follow || p.verdict.Status != job.Doubt || !errors.As(p.verdict.Err, &doubts) {
		return ""
	}
	return map[ledger.DoubtKind]command{
		ledger.DoubtTable: repair, ledger.DoubtMissing: again, ledger.DoubtForeign: foreign, ledger.DoubtLost: lost,
	}[doubts.Doubts[0].Kind]
}

// finished reports whether an act need not be tried again.
func (s *simulation) finished(p *process, run int, ends time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := p.verdict.Figures != nil || p.verdict.Text != "" || p.verdict.Err != nil || p.do == replay
	switch complete := ended && p.verdict.Status == job.Complete; {
	case p.once:
		return true
	case p.do == follow:
		return complete && !time.Now().Before(ends) || p.verdict.Status == job.Doubt && !time.Now().Before(ends)
	case p.do == repair, p.do == verify, p.do == foreign, p.do == lost:
		return complete || p.verdict.Status == job.Doubt || errors.Is(p.verdict.Err, job.ErrNoJob) || p.verdict.Status == job.Left && errors.Is(p.verdict.Err, job.ErrUnfinished)
	case p.do == replay:
		return ended && p.verdict.Err == nil && p.verdict.Status == job.Complete && !p.stoppedOrLost() || p.verdict.Status == job.Doubt
	default:
		return complete
	}
}

func (p *process) stoppedOrLost() bool { return !p.stopped.IsZero() || p.lost }

// besides starts an act beside the one that goes on, and does not wait for its end.
func (s *simulation) besides(a act) {
	time.Sleep(a.after)
	if a.do == byHand {
		s.change(a)
		return
	}
	a.once = true
	s.start(a)
}

// change changes the database by hand, at a moment when nothing else happens.
func (s *simulation) change(a act) {
	if s.stage.enter(context.Background(), &entrance{name: "operator", most: time.Second}) != nil {
		return
	}
	s.say("by hand: %s", a.name)
	s.mu.Lock()
	s.did[byHand]++
	s.mu.Unlock()
	if a.kills {
		for _, p := range s.living() {
			p.kill()
		}
	}
	if a.hand != nil {
		s.db.Look(func(t *memstore.Tables) { a.hand(s, t) })
	}
	time.Sleep(a.lasts)
}

// patient begins to count the time and the steps of an act anew.
func (s *simulation) patient() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calmedAt, s.calmedStep = time.Now(), s.stage.taken()
}

// tooLong holds the time since the last fault, or since the act began, against what it may take.
func (s *simulation) tooLong() error {
	if !s.weather.calm.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	since, steps := time.Since(s.calmedAt), s.stage.taken()-s.calmedStep
	if since > maxCalm || steps > maxCalmStep {
		return fmt.Errorf("not done %s and %d steps after the last fault", since, steps)
	}
	return nil
}

// shared reports whether another process holds, or has just held, the job of p.
func (s *simulation) shared(p *process) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.alive, func(o *process) bool {
		return o != p && o.job == p.job && (!o.dead || o.lost || o.beside || !o.started.Before(p.started))
	})
}

// loseRows deletes some rows of job a behind the ledger's back.
func loseRows(dice *rand.Rand, share float64) act {
	seed := dice.Uint64()
	return act{do: byHand, name: fmt.Sprintf("delete %.0f%% of the rows", 100*share), hand: func(s *simulation, t *memstore.Tables) {
		dice := rand.New(rand.NewPCG(seed, 5))
		ids := make([]uuid.UUID, 0, len(t.Events))
		for id := range t.Events {
			ids = append(ids, id)
		}
		slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, id := range ids {
			if dice.Float64() < share {
				s.gone[id] = time.Now()
			}
		}
		t.Delete(func(e *memstore.Event) bool { return s.gone[e.ID].Equal(time.Now()) })
	}}
}

// loseShard deletes a row of a job's ledger.
func loseShard(dice *rand.Rand) act {
	n := dice.IntN(1 << 20)
	return act{do: byHand, name: "delete a row of ingestion_shards", hand: func(s *simulation, t *memstore.Tables) {
		j := t.Job(jobA)
		if j == nil {
			return
		}
		all := slices.DeleteFunc(t.Round(j.ID, 1), func(sh *memstore.Shard) bool { // the keys of the tables keep those
			return slices.ContainsFunc(t.Shards, func(o *memstore.Shard) bool { return o.Parent == sh.ID }) ||
				slices.ContainsFunc(t.DeadLetters, func(d *memstore.DeadLetter) bool { return d.ShardID == sh.ID })
		})
		if len(all) == 0 {
			return
		}
		lost := all[n%len(all)]
		t.Shards = slices.DeleteFunc(t.Shards, func(sh *memstore.Shard) bool { return sh == lost })
		s.mu.Lock()
		defer s.mu.Unlock()
		s.crippled[jobA] = true
	}}
}

// drawPlot draws what the operators do.
func drawPlot(dice *rand.Rand, s *scenario) []act {
	plot := []act{{do: []command{load, load, syncOnce, follow}[dice.IntN(4)]}}
	live := s.api.Live.Rate > 0
	if plot[0].do == follow {
		plot[0].lasts = s.follows
	}
	other := act{do: load, job: jobB, spans: shard.Window{Start: shard.Past, End: shard.InstantOf(s.api.Oldest.Add(s.api.Newest.Sub(s.api.Oldest) / 2))}}
	after := func(a act) act {
		a.after = between(dice, time.Second, 10*time.Minute)
		return a
	}
	beside := []command{replay, repair, foreign}
	switch dice.IntN(8) {
	case 0:
		plot = append(plot, after(act{do: load})) // a second process of the same job
	case 1:
		plot = append(plot, after(other))
	case 2:
		plot = append(plot, after(act{do: verify}))
	case 3:
		plot = append(plot, after(act{do: beside[dice.IntN(len(beside))]}))
	}
	for range dice.IntN(4) {
		switch dice.IntN(8) {
		case 0:
			plot = append(plot, act{do: syncOnce})
		case 1:
			if live {
				plot = append(plot, act{do: follow, lasts: s.follows})
			}
		case 2:
			plot = append(plot, act{do: again})
		case 3:
			plot = append(plot, act{do: verify})
		case 4:
			plot = append(plot, act{do: replay})
		case 5:
			if slices.ContainsFunc(plot, func(a act) bool { return a.job == jobB && a.after > 0 }) {
				break // a first load that goes on meanwhile may have read them as another job's
			}
			plot = append(plot, []act{
				loseRows(dice, dice.Float64()), loseRows(dice, 0.1), {do: byHand, name: "truncate", hand: truncate},
				{do: byHand, name: "insert a row", hand: foreignRow}, loseShard(dice),
			}[dice.IntN(5)], act{do: repair})
			if dice.IntN(2) == 0 { // cron and a person
				plot = append(plot, act{do: repair, after: between(dice, time.Nanosecond, time.Second)})
			}
			plot = append(plot, act{do: load})
		case 6:
			plot = append(plot, other)
		case 7:
			plot = append(plot, act{do: load})
		}
	}
	return plot
}

// beyondTheTotal reports whether the source's total can't expose an end that was a lie: in a round, in the rows of several jobs,
// or after a replay.
func (s *scenario) beyondTheTotal() bool {
	return s.api.Live.Rate > 0 || slices.ContainsFunc(s.plot, func(a act) bool { return a.do == syncOnce || a.do == follow || a.job == jobB })
}
