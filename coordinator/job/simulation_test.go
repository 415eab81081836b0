package job_test

import (
	"cmp"
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

var seedFlag = flag.Uint64("seed", 0, "replay this one seed of TestSimulation, with the log of what happened")

// play runs a scenario to its end.
func play(t *testing.T, sc *scenario) *simulation {
	t.Helper()
	var s *simulation
	synctest.Test(t, func(*testing.T) {
		s = newSimulation(sc)
		stop := make(chan struct{})
		over := make(chan struct{})
		go func() {
			defer close(over)
			s.stage.run(stop)
		}()
		s.fail(s.drive())
		s.processes.Wait()
		time.Sleep(time.Minute) // for requests that nobody waits for any more
		close(stop)
		<-over
		s.took = time.Since(s.stage.began)
	})
	return s
}

// number reads a number from the environment.
func number(name string, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return otherwise
	}
	return cmp.Or(n, otherwise)
}

// TestSimulation is the swarm: every seed a world and its weather. make simulate-long runs more of them.
func TestSimulation(t *testing.T) {
	if *seedFlag != 0 {
		s := play(t, swarm(*seedFlag))
		t.Logf("%s", s.stage.text.String())
		if s.wrong != nil {
			t.Fatalf("seed %d: %v", *seedFlag, s.wrong)
		}
		return
	}
	from, n := number("FROM", 1), number("SEEDS", seedsByDefault)
	began := time.Now()
	var sum campaign
	t.Run("seeds", func(t *testing.T) {
		workers := runtime.GOMAXPROCS(0)
		for w := range workers {
			t.Run(strconv.Itoa(w), func(t *testing.T) {
				t.Parallel()
				for seed := from + w; seed < from+n; seed += workers {
					s := play(t, swarm(uint64(seed)))
					sum.add(s)
					if s.wrong != nil {
						t.Errorf("go test ./coordinator/job -run 'TestSimulation$' -v -seed=%d   # %v", seed, s.wrong)
					}
				}
			})
		}
	})
	if err := sum.counts(); err != nil {
		t.Error(err)
	}
	t.Logf("%d seeds in %s: %s", n, time.Since(began).Round(time.Millisecond), &sum)
}
