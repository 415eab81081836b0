package job_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// campaign sums up many simulations.
type campaign struct {
	runs, steps, requests, commits, again, fooled, reopened, processes, told, untold, failed, unnoticed, splits, unsplit int
	struck                                                                                                               [troubles]int
	did                                                                                                                  map[command]int
	ended                                                                                                                map[string]int
	mu                                                                                                                   sync.Mutex
	took                                                                                                                 time.Duration
}

func (c *campaign) add(s *simulation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.did == nil {
		c.did, c.ended = map[command]int{}, map[string]int{}
	}
	for what, n := range s.did {
		c.did[what] += n
	}
	for how, n := range s.ended {
		c.ended[how] += n
	}
	c.runs++
	c.steps += s.stage.steps
	c.requests += s.requests
	c.commits += s.commits
	c.again += s.again
	c.fooled += s.fooled
	c.reopened += s.reopened
	c.processes += s.runs
	c.told += s.refusedTold
	c.untold += s.refusedUntold
	c.failed += s.failedShards
	c.unnoticed += s.unnoticed
	c.splits += s.splits
	c.unsplit += s.unsplit
	c.took += s.took
	for t, n := range s.weather.struck {
		c.struck[t] += n
	}
}

// counts reports why the campaign does not count: one in which a kind of fault hardly ever happened proves little.
func (c *campaign) counts() error {
	var errs []error
	least := c.runs / 100
	for t, n := range c.struck {
		if trouble(t) == badForm { // it needs a refusal first
			n *= 2
		}
		if n < least {
			errs = append(errs, fmt.Errorf("%s struck %d times in %d seeds, want %d", trouble(t), n, c.runs, least))
		}
	}
	if c.splits < c.runs/2 {
		errs = append(errs, fmt.Errorf("%d pieces were split off in %d seeds", c.splits, c.runs))
	}
	if c.told < least || c.untold < least || c.fooled < c.runs/2000 {
		errs = append(errs, fmt.Errorf("%d refusals with a time and %d without, %d lies believed", c.told, c.untold, c.fooled))
	}
	for _, what := range []command{load, syncOnce, follow, again, verify, repair, replay} {
		if c.did[what] < least {
			errs = append(errs, fmt.Errorf("%s was done %d times in %d seeds", what, c.did[what], c.runs))
		}
	}
	return errors.Join(errs...)
}

func (c *campaign) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of virtual time, %d steps, %d requests, %d commits, %d processes; %d records read again, %d shards failed for a while, "+
		"%d ends believed that were lies twice (%d unnoticed), %d shards walked once more, 429s %d with and %d without a time, %d pieces split off (%d undone by a failover)", c.took.Round(time.Hour),
		c.steps, c.requests, c.commits, c.processes, c.again, c.failed, c.fooled, c.unnoticed, c.reopened, c.told, c.untold, c.splits, c.unsplit)
	fmt.Fprintf(&b, "; started: %v; ended: %v", c.did, c.ended)
	b.WriteString("; struck:")
	for t, n := range c.struck {
		fmt.Fprintf(&b, " %s %d,", trouble(t), n)
	}
	return strings.TrimSuffix(b.String(), ",")
}
