package main

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
	"sluice/sink/pgproxy"
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

// crashTally counts accidents.
type crashTally struct {
	mu    sync.Mutex
	began time.Time
	lines map[string]*crashLine
	most  int64
}

type crashLine struct{ runs, kills, failures int }

func newCrashTally() *crashTally {
	return &crashTally{began: time.Now(), lines: map[string]*crashLine{}}
}

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
	fmt.Fprintf(&b, "%-20s %6s %6s %9s\n", "point", "kills", "runs", "failures")
	for _, name := range y.names() {
		line := y.lines[name]
		sum = crashLine{sum.runs + line.runs, sum.kills + line.kills, sum.failures + line.failures}
		fmt.Fprintf(&b, "%-20s %6d %6d %9d\n", name, line.kills, line.runs, line.failures)
	}
	fmt.Fprintf(&b, "%-20s %6d %6d %9d   in %s; at most %d records were fetched for a shard and not committed",
		"all", sum.kills, sum.runs, sum.failures, time.Since(y.began).Round(time.Second), y.most)
	return b.String()
}

func (y *crashTally) waste(most int64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.most = max(y.most, most)
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

// A crashPhase is points that are passed in one stretch of a job's life.
type crashPhase struct {
	points []string
	most   int           // the kill comes at a random passage up to this one
	first  string        // what else happens, so that the points are passed
	cut    pgproxy.Break // where the line to the database is cut before
}

// crashPhases are the life of a job. Each kill is followed by a check, and by the next start on the same database.
var crashPhases = []crashPhase{
	{points: []string{"lock.taken"}},
	{points: []string{"migration.step"}, most: 6},
	{points: []string{"migration.done", "access.asked", "access.got"}},
	{points: []string{"survey.probed"}, most: 3},
	{points: []string{"plan.done", "job.inserted", "job.created", "shards.loaded", "shard.begun"}},
	{most: 3, points: []string{"quota.taken", "request.sent", "headers.in", "body.part", "body.in", "page.decoded", "page.read",
		"page.queued", "page.dequeued", "batch.filled", "batch.ordered", "begin.sent", "checkpoint.moved", "copy.part", "copy.ended",
		"copy.done", "letters.in", "counts.amended", "commit.sent", "commit.done", "memory.moved"}},
	{points: []string{"copy.refused", "staging.created", "staging.filled", "staging.sifted", "staging.judged"}},
	{points: []string{"commit.failed"}, cut: pgproxy.BeforeCommit},
	{points: []string{"commit.settled"}, cut: pgproxy.AfterCommit},
	{points: []string{"shard.left", "quota.saved"}, first: "page.decoded:term@2"},
	{points: []string{"shard.done", "windows.compared", "verdict.written", "lock.released"}},
}

// elsewhere are the points that tests of their own pass.
var elsewhere = []string{"holders.ended", "windows.reopened"}

// TestKilledAtEveryPoint kills the process with SIGKILL at every step of a page's way, looks each time at what the database
// then holds, and starts again; in the end everything must be there, exactly.
func TestKilledAtEveryPoint(t *testing.T) {
	tally := newCrashTally()
	for round := range crashRuns(t) {
		t.Run(fmt.Sprintf("round %d", round+1), func(t *testing.T) { killEverywhere(t, tally, uint64(round)) })
	}
	t.Logf("\n%s", tally)
	for _, p := range failpoint.Points {
		if line := tally.lines[p.Name]; (line == nil || line.kills == 0) && !slices.Contains(elsewhere, p.Name) {
			t.Errorf("nothing was ever killed at %s, %s", p.Name, p.Where)
		}
	}
}

// killEverywhere leads a job through all phases. Where it is complete too early, the next one goes on.
func killEverywhere(t *testing.T, tally *crashTally, seed uint64) {
	c := newCrashWorld(t, seed, nil)
	for _, phase := range crashPhases {
		points := slices.Clone(phase.points)
		if phase.most > 0 {
			c.rand.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		}
		for _, point := range points {
			if c.done {
				c = c.successor(tally)
			}
			killed := c.killAt(point, phase)
			tally.add(point, killed, c.sound("a kill at "+point))
		}
	}
	c.finish()
	tally.waste(c.most)
}

// killAt kills a run at a point, at a random passage. Where it is passed less often, the run goes on for a few commits only.
func (c *crashWorld) killAt(point string, phase crashPhase) (killed bool) {
	c.t.Helper()
	for _, passage := range []int{1 + c.rand.IntN(max(1, phase.most)), 1} {
		fuses := fmt.Sprintf("%s:kill@%d", point, passage)
		if phase.most > 0 {
			fuses += fmt.Sprintf(",memory.moved:kill@%d", phase.most+2)
		}
		if phase.first != "" {
			fuses += "," + phase.first
		}
		if c.cut(phase.cut); c.killed(point, fuses, exitOK) {
			return true
		}
	}
	return false
}
