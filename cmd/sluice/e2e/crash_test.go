package e2e

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
	"sluice/shard/failpoint"
	"sluice/sink/pgtest"
)

// A crashPhase is points that are passed in one stretch of a job's life.
type crashPhase struct {
	points []string
	most   int          // the kill comes at a random passage up to this one
	first  string       // what else happens, so that the points are passed
	cut    pgtest.Break // where the line to the database is cut before
}

// crashPhases are the life of a job. Each kill is followed by a check, and by the next start on the same database.
var crashPhases = []crashPhase{
	{points: []string{"lock.taken"}},
	{points: []string{"migration.step"}, most: 6},
	{points: []string{"migration.done", "access.asked", "access.got"}},
	{points: []string{"survey.probed"}, most: 3},
	{points: []string{"plan.done", "job.inserted", "round.inserted", "job.created", "shards.loaded", "shard.begun"}},
	{points: []string{"window.split", "window.pieces"}},
	{most: 3, points: []string{"quota.taken", "request.sent", "headers.in", "body.part", "body.in", "page.decoded", "page.read",
		"page.queued", "page.dequeued", "batch.filled", "batch.ordered", "begin.sent", "checkpoint.moved", "copy.part", "copy.ended",
		"copy.done", "letters.in", "counts.amended", "commit.sent", "commit.done", "memory.moved"}},
	{points: []string{"copy.refused", "staging.created", "staging.filled", "staging.sifted", "staging.judged"}},
	{points: []string{"commit.failed"}, cut: pgtest.BeforeCommit},
	{points: []string{"commit.settled"}, cut: pgtest.AfterCommit},
	{points: []string{"shard.left", "quota.saved"}, first: "page.decoded:term@6"},
	{points: []string{"shard.done", "windows.compared", "verdict.written", "lock.released"}},
}

// elsewhere are the points that tests of their own pass.
var elsewhere = append([]string{"holders.ended", "windows.reopened"}, roundPoints...)

// TestCrashAtEveryPoint kills the process with SIGKILL at every step of a page's way, looks each time at what the database
// then holds, and starts again; in the end everything must be there, exactly.
func TestCrashAtEveryPoint(t *testing.T) {
	t.Parallel()
	crashRounds(t, killEverywhere)
	for _, p := range failpoint.Points {
		if !crashes.struck(p.Name) && !slices.Contains(elsewhere, p.Name) {
			t.Errorf("nothing was ever killed at %s, %s", p.Name, p.Where)
		}
	}
}

// killEverywhere leads a job through all phases. Where it is complete too early, another one goes on.
func killEverywhere(t *testing.T, seed uint64) {
	c := newCrashWorld(t, seed, nil)
	for _, phase := range crashPhases {
		points := slices.Clone(phase.points)
		if phase.most > 0 {
			c.rand.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		}
		for _, point := range points {
			for range 2 { // a job that has passed the point before is led to its end, and another one begins
				if c.done {
					c.end()
					c = newCrashWorld(t, c.rand.Uint64(), nil).begin()
				}
				killed := c.killAt(point, phase)
				crashes.add(point, killed, c.sound("a kill at "+point))
				if killed || !c.done {
					break
				}
			}
		}
	}
	c.end()
}

// TestCrashAtRandomMoments kills the process with SIGKILL whatever it does.
func TestCrashAtRandomMoments(t *testing.T) {
	t.Parallel()
	crashRounds(t, func(t *testing.T, seed uint64) {
		c := newCrashWorld(t, seed, nil).begin()
		for range 10 {
			p := c.launch("")
			select {
			case <-p.exited:
			case <-time.After(time.Duration(c.rand.Int64N(int64(400 * time.Millisecond)))):
			}
			_ = p.Process.Kill()
			p.code(t, time.Minute)
			killed := p.ProcessState.Sys().(syscall.WaitStatus).Signaled()
			crashes.add("a random moment", killed, c.sound("a kill at a random moment"))
		}
		c.end()
	})
}

// TestCrashWhileWindowsAreReopened: the source counts more events than it has, so that all windows are opened again and walked once
// more, until that contradicts the count; nothing may come twice.
func TestCrashWhileWindowsAreReopened(t *testing.T) {
	t.Parallel()
	crashRounds(t, func(t *testing.T, seed uint64) {
		for _, point := range []string{"windows.reopened", "shard.begun", "checkpoint.moved", "copy.refused", "commit.sent", "shard.done"} {
			c := newCrashWorld(t, seed, func(c *apisim.Config) { c.TotalError = 2000 }).begin()
			killed := c.killed(point, "windows.reopened:seen,"+point+":kill", cli.ExitDoubt)
			name := "reopened, " + point
			if slices.Contains(elsewhere, point) {
				name = point
			}
			crashes.add(name, killed, c.sound("a kill at "+point))
			if !killed {
				t.Errorf("nothing was killed at %s", point)
			}
			p, left := c.launch(""), 0
			for range 3 { // in doubt, everything is read once more by the next run; a shard whose cursors die three times is resumed by it
				code := p.code(t, time.Minute)
				if code != cli.ExitDoubt && (code != cli.ExitLeft || left == 1) {
					break
				}
				if code == cli.ExitLeft {
					left++
				}
				p = c.launch("")
			}
			if p.code(t, time.Minute) != cli.ExitOK {
				t.Errorf("exit code %d, want 0:\n%s", p.ProcessState.ExitCode(), p.out.String())
			}
			c.sound("the end")
			c.complete()
		}
	})
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
		if c.cut(phase.cut); c.killed(point, fuses, cli.ExitOK) {
			return true
		}
	}
	return false
}
