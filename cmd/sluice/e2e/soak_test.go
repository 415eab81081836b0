package e2e

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
	"sluice/sink/pgtest"
)

var soakTime = flag.Duration("soak", 20*time.Second, "how long TestSoak runs; make soak: 30 minutes")

// soakEvents is about how many events the soak's API gives in so long a time: fewer while something goes wrong all the time.
func soakEvents(length time.Duration) int64 {
	if length < 2*time.Minute {
		return int64(2_000 * length.Seconds())
	}
	return int64(4_300 * length.Seconds())
}

// TestSoak runs one ingestion for a long time while something goes wrong again and again: with the API, the line to the
// database, the server, the run itself. The table must be exact at the end, and what the process holds must not have grown.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := newSoak(t)
	watch := newGauge(*soakTime)
	s.watch = watch
	for s.round = 0; !s.rerun() || s.early(); s.round++ {
	}
	watch.stop()
	t.Logf("%d faults in %s, %d starts of the run\n%s", s.struck, time.Since(watch.began).Round(time.Second), s.round+1, watch)
	s.exact()
	if s.struck < len(s.faults()) {
		t.Errorf("only %d faults struck, there are %d kinds", s.struck, len(s.faults()))
	}
	if *soakTime >= 10*time.Minute { // a shorter time is all warm-up
		watch.flat(t)
	}
}

// soak is a world in which things go wrong by a plan.
type soak struct {
	*stage
	watch  *gauge
	round  int
	struck int
}

func newSoak(t *testing.T) *soak {
	s := &soak{stage: newStage(newWorld(t, soakEvents(*soakTime), func(c *apisim.Config) {
		c.PageCap, c.MalformedShare = 1000, 0.0005
		c.Latency = apisim.Latency{Page: 500 * time.Millisecond, Jitter: time.Second, Scale: 1}
		c.CursorLife, c.TokenLife, c.CacheLife = 10*time.Second, 30*time.Second, 2*time.Second
	}))}
	// Windows of a second, so that a storm of 429 costs seconds.
	s.env["SLUICE_LIST_LIMIT"], s.env["SLUICE_STREAM_LIMIT"] = "10000/1s", "10000/1s"
	return s
}

// rerun runs until the job is complete or a stop comes, and returns which.
func (s *soak) rerun() (complete bool) {
	ctx, stop := context.WithCancelCause(context.Background())
	over := make(chan struct{})
	plagued := make(chan struct{})
	go func() {
		defer close(plagued)
		s.plague(stop, over)
	}()
	r := s.runContext(ctx, "run", "--shards=8", "--fetchers=6", "--max-dead-letters=1000000")
	close(over)
	<-plagued
	stop(nil)
	if r.code != cli.ExitOK && r.code != cli.ExitLeft {
		s.t.Fatalf("exit code %d:\n%s", r.code, r.stderr)
	}
	return r.code == cli.ExitOK
}

// early says that the job became complete before each thing had gone wrong once, as it does on a fast machine, and then lets
// everything begin anew.
func (s *soak) early() bool {
	if s.struck >= len(s.faults()) || s.round > 20 {
		return false
	}
	s.exec(`truncate ingested_events, ingestion_jobs, ingestion_doubts, ingestion_rounds, ingestion_shards, dead_letters, api_quotas`)
	return true
}

// plague lets one thing after the other go wrong until the run is over. The last of each turn stops the run.
func (s *soak) plague(stop context.CancelCauseFunc, over <-chan struct{}) {
	kinds := s.faults()
	every := min(30*time.Second, *soakTime/time.Duration(2*len(kinds)))
	for begun := s.pages() + 20; s.pages() < begun; { // a run that cannot start ends at once, by contract
		select {
		case <-over:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	for {
		select {
		case <-over:
			return
		case <-time.After(every):
		}
		s.watch.note()
		n := s.struck % (len(kinds) + 1)
		s.struck++
		if n == len(kinds) {
			stop(&cli.SignalError{Signal: syscall.SIGTERM})
			<-over
			return
		}
		kinds[n](every / 3)
	}
}

// faults are what can go wrong for a while.
func (s *soak) faults() []func(time.Duration) {
	return []func(time.Duration){
		s.api(apisim.Limited(time.Second)),
		func(time.Duration) { s.proxy.Cut(pgtest.BeforeCommit) },
		s.api(apisim.Status(http.StatusBadGateway)),
		func(time.Duration) { s.proxy.Cut(pgtest.AfterCommit) },
		s.api(apisim.CutBody(0.5)),
		func(time.Duration) { s.proxy.Cut(pgtest.InCopy) },
		s.api(apisim.NullBody()),
		s.down,
		s.api(apisim.HTML()),
		s.crash,
		s.api(apisim.RevokedToken()),
		s.terminate,
		s.api(apisim.ExpiredCursor()),
		s.lock,
		s.api(apisim.Drop()),
		s.api(apisim.EarlyEnd()),
	}
}

// api makes every second answer of both endpoints go wrong.
func (s *soak) api(f apisim.Fault) func(time.Duration) {
	return func(d time.Duration) {
		for _, e := range []apisim.Endpoint{apisim.List, apisim.Feed} {
			n := 0
			s.sim.Control(e, func(r *http.Request) apisim.Fault {
				if n++; n%2 == 0 {
					return apisim.Behave()
				}
				return f
			})
			defer s.sim.Control(e, nil)
		}
		time.Sleep(d)
	}
}

// gauge samples what the process holds.
type gauge struct {
	began  time.Time
	length time.Duration
	notes  []holding
}

func newGauge(length time.Duration) *gauge { return &gauge{began: time.Now(), length: length} }

func (g *gauge) stop() { g.note() }

// note takes a sample; it is called between two faults, when the run has had time to recover.
func (g *gauge) note() { g.notes = append(g.notes, holds(time.Since(g.began))) }

// third returns the medians of the samples of the first (0), second or last (2) third, without the warm-up.
func (g *gauge) third(n int) holding {
	warm := g.notes[len(g.notes)/10:]
	part := warm[len(warm)*n/3 : len(warm)*(n+1)/3]
	return holding{
		Goroutines: median(part, func(h holding) int64 { return h.Goroutines }),
		Files:      median(part, func(h holding) int64 { return h.Files }),
		Resident:   median(part, func(h holding) int64 { return h.Resident }),
		Live:       median(part, func(h holding) int64 { return h.Live }),
	}
}

func median(of []holding, figure func(holding) int64) int64 {
	all := make([]int64, len(of))
	for i, h := range of {
		all[i] = figure(h)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// flat compares the last third with the first. What may grow is the simulator, which is in the same process and remembers its
// last 16,384 requests: some 5 MiB.
func (g *gauge) flat(t *testing.T) {
	first, last := g.third(0), g.third(2)
	const few = 8
	if last.Goroutines > first.Goroutines+few || last.Files > first.Files+few {
		t.Errorf("goroutines or files grew: from %s to %s", first, last)
	}
	if last.Live > first.Live+8<<20 || last.Resident > first.Resident+32<<20 {
		t.Errorf("memory grew: from %s to %s", first, last)
	}
}

func (g *gauge) String() string {
	text := ""
	for n := range 3 {
		if len(g.notes) >= 6 {
			text += fmt.Sprintf("third %d of the time: %s\n", n+1, g.third(n))
		}
	}
	return text
}
