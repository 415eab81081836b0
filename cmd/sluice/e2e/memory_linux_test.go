package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// TestMemoryBoundsTheProcess: pages of 35 MB, whose size no run knows before it has read one, from an API in another process. With
// 8 shards it was 655 MiB, with 32 shards 1154: the first page of every shard was taken for an ordinary one.
func TestMemoryBoundsTheProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shards int
		gzip   bool // the length of a body is not known before its end
	}{{8, false}, {32, true}} {
		t.Run(fmt.Sprintf("%d shards", c.shards), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 110_000, func(s *apisim.Config) { s.PageCap, s.Gzip = 100_000, c.gzip })
			p := w.start("run", fmt.Sprintf("--shards=%d", c.shards), "--memory=64MiB")
			peak, code := p.peak(t), p.code(t, time.Minute)
			if code != cli.ExitOK {
				t.Fatalf("exit code %d:\n%s", code, p.out.String())
			}
			if bound := int64(64+96) << 20; peak == 0 || peak > bound {
				t.Errorf("the process had up to %d MiB, not at most %d", peak>>20, bound>>20)
			}
			w.exact()
		})
	}
}

// peak returns the most memory that a process had resident until its end, in bytes. (What its parent is told of it afterwards begins
// with the parent's own.)
func (p *process) peak(t *testing.T) (bytes int64) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid)) // empty once it has ended
		if _, after, found := strings.Cut(string(status), "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			bytes = kib << 10
		}
		select {
		case <-p.exited:
			return bytes
		case <-tick.C:
		}
	}
}
