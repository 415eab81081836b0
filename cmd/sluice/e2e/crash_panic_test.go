package e2e

import (
	"os"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
)

// panicPoints are in goroutines of ours, or in one whose panics are carried to ours; in another one of a library's a panic ends
// the process as SIGKILL does.
var panicPoints = []string{"shard.begun", "quota.taken", "headers.in", "body.in", "page.decoded", "page.read", "page.queued",
	"page.dequeued", "batch.filled", "checkpoint.moved", "copy.done", "letters.in", "counts.amended", "commit.done", "memory.moved", "shard.done"}

// TestCrashByPanic: a panic fails its shard, and the others go on; the exit code is 1 and the stack is in a file. The next run
// takes the shard up again.
func TestCrashByPanic(t *testing.T) {
	t.Parallel()
	crashRounds(t, func(t *testing.T, seed uint64) {
		c := newCrashWorld(t, seed, nil).begin()
		dir := t.TempDir()
		c.env["TMPDIR"] = dir
		for _, i := range c.rand.Perm(len(panicPoints))[:4] {
			point := panicPoints[i]
			if c.done {
				c.end()
				c = newCrashWorld(t, c.rand.Uint64(), nil).begin()
				c.env["TMPDIR"] = dir
			}
			// The other shards are held up, so that there is work for the next point.
			p := c.launch(point + ":panic,commit.done:term@4")
			code := p.code(t, time.Minute)
			c.done = code == cli.ExitOK
			stacks, err := os.ReadDir(dir)
			if code != cli.ExitUnexpected && code != cli.ExitLeft || err != nil || code == cli.ExitUnexpected && len(stacks) == 0 {
				t.Errorf("a panic at %s: exit code %d, %d stacks:\n%s", point, code, len(stacks), p.out.String())
			}
			crashes.add("panic at "+point, contains(p.out.String(), "fail point "+point+"\n"), c.sound("a panic at "+point))
		}
		c.end()
	})
}
