package job_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/coordinator/ledger/memstore"
	"sluice/fetch/apisim"
	"sluice/shard"
)

// simulation is one run of a scenario, from the first process to the last.
type simulation struct {
	*scenario
	stage   *stage
	weather *weather
	db      *memstore.Database

	changing sync.Mutex // held by the one that changes an answer

	mu     sync.Mutex // of all below; never held over a wait, and taken after the database's own
	server *apisim.Server
	truth  *truth
	wrong  error

	reached  map[int64]int           // the farthest that a shard's checkpoints ever were: records from there on are behind it
	began    map[int64]time.Time     // when the walk of a shard began, the last time from the start
	lies     map[int64]int           // that a shard was told, by row; those of 0 may have been told to any
	liars    map[string]bool         // what the API has kept of answers to a question: a lie
	gone     map[uuid.UUID]time.Time // rows that were deleted by hand, when, and not stored again; zero: the source hides them
	planned  map[string]time.Time    // when the source was first looked at for a job
	rounded  map[roundOf]time.Time   // and for its rounds
	foreign  bool                    // another data set is served
	crippled map[string]bool         // jobs whose ledger was cut by hand

	moments    []memstore.Tables
	mistakes   map[apisim.Endpoint]mistake
	away, out  time.Time // until when API and database are not there
	bans       []*ban
	processes  sync.WaitGroup
	alive      []*process
	calmedAt   time.Time
	calmedStep int

	// What the campaign counts.
	requests, commits, again, fooled, reopened, runs int
	refusedTold, refusedUntold, failedShards, vain   int
	unnoticed, accesses, splits, unsplit             int
	did                                              map[command]int
	ended                                            map[string]int
	rounds, late, grown                              int
	served                                           atomic.Int64 // requests that came to the API
	took                                             time.Duration
}

type roundOf struct {
	job    string
	number int
}

// source is what the ledger calls the API.
const source = "http://api.test"

func newSimulation(sc *scenario) *simulation {
	s := &simulation{
		scenario: sc, stage: newStage(rand.New(rand.NewPCG(sc.seed, 2))),
		weather:  &weather{dice: rand.New(&lockedSource{source: rand.NewPCG(sc.seed, 3)}), rate: sc.rate, single: sc.single, only: sc.only, at: sc.at},
		db:       memstore.New(),
		mistakes: map[apisim.Endpoint]mistake{}, reached: map[int64]int{}, began: map[int64]time.Time{}, lies: map[int64]int{}, liars: map[string]bool{}, gone: map[uuid.UUID]time.Time{},
		planned: map[string]time.Time{}, rounded: map[roundOf]time.Time{}, crippled: map[string]bool{}, did: map[command]int{}, ended: map[string]int{},
	}
	s.server = s.serve(sc.api)
	s.truth = newTruth(&sc.api, s.server.Data())
	s.db.Now = func() time.Time { return time.Now().Add(-time.Hour) } // its clock is an hour behind
	s.db.Landing = s.landing
	s.stage.before = s.beforeTurn
	if sc.windows != nil {
		s.plan()
	}
	return s
}

// plan writes down a job that an earlier process has planned.
func (s *simulation) plan() {
	learned, err := json.Marshal(s.caps)
	if err == nil {
		_, err = s.db.Open(jobA, "planner", nil).CreateJob(context.Background(), ledger.Job{
			Name: jobA, Source: source, Span: s.span, Oldest: shard.InstantOf(s.api.Oldest), Capabilities: learned, Candidate: shard.InstantOf(s.api.Oldest),
			Newest: shard.InstantOf(s.api.Newest),
		}, s.windows)
	}
	if err != nil {
		panic(err)
	}
	s.planned[jobA] = time.Now()
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

func (s *simulation) handler() http.Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// apiAway and storeAway report whether there is an outage, and begin one.
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

// maxSteps is more than any history takes.
const maxSteps = 40_000

// beforeTurn does what happens to whole processes. It is called while everything stands still.
func (s *simulation) beforeTurn(next *entrance) (gone bool) {
	s.mu.Lock()
	p, wrong := next.of, s.wrong != nil
	idle := p == nil || p.dead || !p.stopped.IsZero()
	s.mu.Unlock()
	if !s.weather.calm.Load() && s.stage.taken() >= s.stormy {
		s.becalm()
	}
	if s.stage.taken() > maxSteps {
		s.fail(fmt.Errorf("no end after %d steps", maxSteps))
	}
	switch {
	case wrong:
		all := s.living()
		for _, p := range all {
			p.kill()
		}
		return len(all) > 0
	case idle:
	case s.weather.strikes(badKill):
		p.kill()
		return true
	case s.weather.strikes(badStop):
		p.terminate(errors.New("stopped by signal"))
		return true
	case p.hasLost() || s.db.Holder(p.job) != p.run():
	case s.weather.strikes(badUsurper):
		p.loseLock()
		return true
	}
	return false
}

// living returns the processes that live, the oldest first.
func (s *simulation) living() (all []*process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.alive {
		if !p.dead {
			all = append(all, p)
		}
	}
	return all
}

// becalm ends all faults: whatever is not done yet must get done now.
func (s *simulation) becalm() {
	s.say("calm from here on")
	c := s.api
	c.CursorLife, c.TokenLife, c.ExpiredAs502 = 24*time.Hour, 300*time.Second, false
	server := s.serve(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away, s.out, s.server = time.Time{}, time.Time{}, server
	s.calmedAt, s.calmedStep = time.Now(), s.stage.taken()
	s.weather.calm.Store(true)
}

func (s *simulation) hasFailed() bool { return s.wrongNow() != nil }

func (s *simulation) wrongNow() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrong
}

// fail keeps the first thing that was wrong.
func (s *simulation) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(err)
}

func (s *simulation) failLocked(err error) {
	if err != nil && s.wrong == nil {
		s.wrong = err
		s.say("WRONG: %v", err)
	}
}

func (s *simulation) expect(ok bool, format string, args ...any) {
	if !ok {
		s.fail(fmt.Errorf(format, args...))
	}
}
