package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/shard/failpoint"
)

// crashRuns is how often each accident happens: once, or as often as CRASH_RUNS says (make crash).
func crashRuns(t *testing.T) int {
	t.Helper()
	text, set := os.LookupEnv("CRASH_RUNS")
	if !set {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("CRASH_RUNS is %q, not a number from 1 on", text)
	}
	return n
}

// crashRounds runs rounds of accidents, each with a seed of its own, and several at once where there are many.
func crashRounds(t *testing.T, round func(t *testing.T, seed uint64)) {
	t.Helper()
	runs := crashRuns(t)
	t.Run("rounds", func(t *testing.T) {
		for n := range runs {
			t.Run(strconv.Itoa(n+1), func(t *testing.T) {
				if runs > 1 {
					t.Parallel()
				}
				round(t, uint64(n))
			})
		}
	})
}

// crashTally counts accidents.
type crashTally struct {
	mu    sync.Mutex
	began time.Time
	lines map[string]*crashLine
	most  int64
}

type crashLine struct{ runs, kills, failures int }

// crashes is the tally of all tests of this process; make crash prints it in the end.
var crashes = crashTally{began: time.Now(), lines: map[string]*crashLine{}}

func (y *crashTally) add(name string, killed, sound bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	line := y.lines[name]
	if line == nil {
		line = &crashLine{}
		y.lines[name] = line
	}
	line.runs++
	if killed {
		line.kills++
	}
	if !sound {
		line.failures++
	}
}

func (y *crashTally) String() string {
	var b strings.Builder
	var sum crashLine
	fmt.Fprintf(&b, "%-40s %6s %6s %9s\n", "accident", "struck", "runs", "failures")
	for _, name := range y.names() {
		line := y.lines[name]
		sum = crashLine{sum.runs + line.runs, sum.kills + line.kills, sum.failures + line.failures}
		fmt.Fprintf(&b, "%-40s %6d %6d %9d\n", name, line.kills, line.runs, line.failures)
	}
	fmt.Fprintf(&b, "%-40s %6d %6d %9d   in %s; at most %d records were fetched for a shard and not committed",
		"all", sum.kills, sum.runs, sum.failures, time.Since(y.began).Round(time.Second), y.most)
	return b.String()
}

func (y *crashTally) waste(most int64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.most = max(y.most, most)
}

func (y *crashTally) struck(name string) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.lines[name] != nil && y.lines[name].kills > 0
}

// names returns the points in the order of the table, other accidents after them.
func (y *crashTally) names() (names []string) {
	for _, p := range failpoint.Points {
		if y.lines[p.Name] != nil {
			names = append(names, p.Name)
		}
	}
	var others []string
	for name := range y.lines {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(names, others...)
}
