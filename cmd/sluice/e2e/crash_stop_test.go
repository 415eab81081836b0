package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// TestCrashOfAStoppedRun stops a run with SIGSTOP in the middle of a COPY. It is beyond every timeout of the
// server: it keeps the job's lock, a shard's row and the keys of rows that nobody sees. Another run is turned away, until
// somebody ends the session that holds the lock, which the message names. Then the other run takes all shards, ends the rest,
// and goes on. The first one, awake again, has lost everything and must write nothing.
func TestCrashOfAStoppedRun(t *testing.T) {
	t.Parallel()
	crashRounds(t, stopAndWake)
}

func stopAndWake(t *testing.T, seed uint64) {
	c := newCrashWorld(t, seed, nil).begin()
	first := c.launch("copy.part:stop@4")
	c.awaitStop(first)
	if second := c.launch(""); second.code(t, time.Minute) != cli.ExitLocked {
		t.Errorf("the second run ended with %d, want %d:\n%s", second.ProcessState.ExitCode(), cli.ExitLocked, second.out.String())
	}
	c.sound("a run that was turned away")
	c.endLock()
	killed := c.killed("holders.ended", "holders.ended:kill")
	if crashes.add("holders.ended", killed, c.sound("a takeover that was killed")); !killed {
		t.Error("the run that took over ended no session")
	}
	third := c.launch("memory.moved:stop@3")
	c.awaitStop(third)
	sound := c.sound("a takeover")
	c.wake(first)
	if code := first.code(t, time.Minute); code != cli.ExitLocked {
		t.Errorf("the first run ended with %d, want %d:\n%s", code, cli.ExitLocked, first.out.String())
	}
	crashes.add("stopped in the COPY, woken", true, c.sound("the wake of the first run") && sound)
	c.wake(third)
	if code := third.code(t, time.Minute); code != cli.ExitOK {
		t.Errorf("the third run ended with %d:\n%s", code, third.out.String())
	}
	c.sound("the end")
	c.complete()
}

// TestCrashOfALock ends the session of a run's lock, and starts another run before the first has
// noticed. One of them gets the job, the other ends with exit code 6 or finds all done; no shard goes back to a run that lost it.
func TestCrashOfALock(t *testing.T) {
	t.Parallel()
	crashRounds(t, twoBelieve)
}

func twoBelieve(t *testing.T, seed uint64) {
	c := newCrashWorld(t, seed, func(c *apisim.Config) { c.Latency.Page = 150 * time.Millisecond }).begin()
	first := c.launch("")
	c.waitFor(first, 25)
	c.endLock()
	second := c.launch("")
	codes := []int{first.code(t, time.Minute), second.code(t, time.Minute)}
	crashes.add("lock's session ended", true, c.sound("two runs at once"))
	// Where the first one was quicker, it may be done before the second one's patience is over.
	if slices.Sort(codes); codes[0] != cli.ExitOK || codes[1] != cli.ExitLocked && codes[1] != cli.ExitOK {
		t.Errorf("exit codes %v:\n%s\n%s", codes, first.out.String(), second.out.String())
	}
	c.complete()
}

// endLock ends the session that holds the job's lock, as somebody would who reads in the message which one it is.
func (c *crashWorld) endLock() {
	c.t.Helper()
	var ended int
	c.query(`select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory' and database = (
		select oid from pg_database where datname = current_database())`, nil, &ended)
	if ended != 1 {
		c.t.Fatalf("%d sessions held the lock", ended)
	}
}

// awaitStop waits until the kernel has stopped the process, which must not end.
func (c *crashWorld) awaitStop(p *process) {
	c.t.Helper()
	if !c.stops(p) {
		c.t.Fatalf("the process ended:\n%s", p.out.String())
	}
}

// stops waits until the kernel has stopped the process; false: it has ended.
func (c *crashWorld) stops(p *process) bool {
	c.t.Helper()
	deadline := time.After(time.Minute)
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid)) // 4711 (sluice) T …
		if err == nil && strings.Contains(string(stat), ") T ") {
			return true
		}
		select {
		case <-p.exited:
			return false
		case <-deadline:
			c.t.Fatalf("the process does not stop:\n%s", p.out.String())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (c *crashWorld) wake(p *process) {
	c.t.Helper()
	if err := p.Process.Signal(syscall.SIGCONT); err != nil {
		c.t.Fatal(err)
	}
}
