package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"sluice/fetch/apisim"
	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/sink/audit"
)

// simulation is one run of a scenario, from the first process to the last.
type simulation struct {
	*scenario
	stage   *stage
	weather *weather
	truth   *truth

	mu     sync.Mutex // of all below; never held over a wait
	server *apisim.Server
	wrong  error

	table   map[uuid.UUID]int // rows, and which shard stored them
	dead    map[[32]byte]*shard.Reject
	rows    []*row // oldest window first
	lastID  int64
	reached map[int]int     // how far a shard's checkpoints ever were
	lies    map[int]int     // that a shard was told
	liars   map[string]bool // what the API has kept of answers to a question: a lie

	moments    []moment
	away, out  time.Time // until when API and database are not there
	bans       []*ban
	quotas     map[string]quota.State
	savedAt    time.Time
	current    *process
	processes  sync.WaitGroup
	calmedAt   time.Time
	calmedStep int

	// What the campaign counts.
	requests, commits, again, fooled, reopened, runs int
	refusedTold, refusedUntold, failedShards, vain   int
	unnoticed, accesses, splits, unsplit             int
	served                                           atomic.Int64 // requests that came to the API
	took                                             time.Duration
}

func newSimulation(sc *scenario) *simulation {
	s := &simulation{
		scenario: sc, stage: newStage(rand.New(rand.NewPCG(sc.seed, 2))),
		weather: &weather{dice: rand.New(rand.NewPCG(sc.seed, 3)), rate: sc.rate, single: sc.single, only: sc.only, at: sc.at},
		quotas:  map[string]quota.State{},
		table:   map[uuid.UUID]int{}, dead: map[[32]byte]*shard.Reject{}, reached: map[int]int{}, lies: map[int]int{}, liars: map[string]bool{},
	}
	s.server = s.serve(sc.api)
	s.truth = newTruth(s.server.Data())
	for i, w := range sc.windows {
		s.rows = append(s.rows, &row{Checkpoint: shard.Checkpoint{ID: int64(i + 1), Shard: i + 1, Window: w, State: shard.Pending}})
	}
	s.lastID = int64(len(s.rows))
	s.stage.before = s.beforeTurn
	return s
}

func (s *simulation) serve(c apisim.Config) *apisim.Server {
	server, err := apisim.New(c)
	if err != nil {
		panic(err)
	}
	server.Control(apisim.List, s.control(apisim.List))
	server.Control(apisim.Feed, s.control(apisim.Feed))
	server.Control(apisim.Access, s.controlAccess)
	return server
}

func (s *simulation) say(format string, args ...any) { s.stage.say(format, args...) }

func (s *simulation) api() *apisim.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// apiAway and storeAway tell whether there is an outage, and begin one.
func (s *simulation) apiAway() bool   { return s.isAway(&s.away, badAPIOutage) }
func (s *simulation) storeAway() bool { return s.isAway(&s.out, badStoreOutage) }

func (s *simulation) isAway(until *time.Time, t trouble) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.weather.strikes(t) {
		*until = time.Now().Add(s.weather.between(30*time.Second, 30*time.Minute))
		s.say("    %s until %s", t, until.Format(time.TimeOnly))
	}
	return time.Now().Before(*until)
}

// beforeTurn does what happens to whole processes. It is called while everything stands still.
func (s *simulation) beforeTurn(*entrance) (gone bool) {
	s.mu.Lock()
	p, wrong := s.current, s.wrong != nil
	due := p != nil && !p.dead && time.Since(s.savedAt) >= time.Second
	s.mu.Unlock()
	if due {
		_ = p.pacer.Share(context.Background())
	}
	if !s.weather.calm.Load() && s.stage.taken() >= s.stormy {
		s.becalm()
	}
	switch {
	case p == nil || p.dead || !p.stopped.IsZero():
	case wrong, s.weather.strikes(badKill):
		p.kill()
		return true
	case s.weather.strikes(badStop):
		p.terminate(errors.New("stopped by signal"))
		return true
	case p.lost:
	case s.weather.strikes(badUsurper):
		p.lost = true
		time.AfterFunc(s.weather.between(10*time.Millisecond, 10*time.Second), func() { p.terminate(errors.New("the lock is lost")) })
		close(p.usurped)
		s.say("p%d lost its lock", p.number)
		return true
	}
	return false
}

// becalm ends all faults: what is not done yet must get done now.
func (s *simulation) becalm() {
	s.say("calm from here on")
	c := s.scenario.api
	c.CursorLife, c.TokenLife, c.ExpiredAs502 = 24*time.Hour, 300*time.Second, false
	server := s.serve(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away, s.out, s.server = time.Time{}, time.Time{}, server
	s.calmedAt, s.calmedStep = time.Now(), s.stage.taken()
	s.weather.calm.Store(true)
}

const (
	mostRuns     = 400            // that found the database: by contract one that does not ends at once, and outages are long
	mostCalm     = 12 * time.Hour // of virtual time, once the faults have ended
	mostCalmStep = 6000
)

// drive starts one process after the other, as somebody does who runs the same command again until it says that all is done.
func (s *simulation) drive() error {
	limit := time.NewTimer(2000 * time.Hour)
	defer limit.Stop()
	dice := rand.New(rand.NewPCG(s.seed, 4))
	for s.runs-s.vain < mostRuns {
		p := s.start()
		select {
		case <-p.over:
			if p.vain {
				s.vain++
			}
		case <-p.usurped:
		case <-limit.C:
			p.kill()
			return errors.New("nothing moves any more")
		}
		switch {
		case p.complete, s.hasFailed():
			return s.wrongNow()
		}
		if err := s.tooLong(); err != nil {
			return err
		}
		if s.allDone() { // and yet it is not complete
			s.repair(p)
		}
		time.Sleep(between(dice, time.Millisecond, time.Minute))
	}
	return fmt.Errorf("not done in %d runs", s.runs)
}

// tooLong holds the time since the last fault against what it may take.
func (s *simulation) tooLong() error {
	if !s.weather.calm.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	since, steps := time.Since(s.calmedAt), s.stage.taken()-s.calmedStep
	if since > mostCalm || steps > mostCalmStep {
		return fmt.Errorf("not done %s and %d steps after the last fault", since, steps)
	}
	return nil
}

func (s *simulation) hasFailed() bool { return s.wrongNow() != nil }

func (s *simulation) wrongNow() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrong
}

// repair is `verify --repair`: it opens what falls short.
func (s *simulation) repair(p *process) {
	if verdict := audit.Judge(s.audit(), p.total(), p.total()); !verdict.OK {
		s.say("repair: %s", verdict.Summary())
		s.reopen(verdict.Reopen)
	}
}
