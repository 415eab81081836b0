package e2e

import (
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
)

// TestSIGTERMDrains: exit code 4 within 10 s, everything fetched is stored, and the same command finishes.
func TestSIGTERMDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, slow(50*time.Millisecond))
	p := w.start("run", "--shards=4")
	w.waitFor(p, 25)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.code(t, 10*time.Second); code != cli.ExitLeft {
		t.Fatalf("exit code %d, want %d:\n%s", code, cli.ExitLeft, p.out.String())
	}
	if out := p.out.String(); contains(out, "ingestion complete") {
		t.Errorf("an interrupted run claims to be complete:\n%s", out)
	}
	w.mustRun(cli.ExitOK, "run", "--shards=4")
	w.exact()
}

// TestSecondSignalLeavesAtOnce: 128 + 15 for SIGTERM.
func TestSecondSignalLeavesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, slow(200*time.Millisecond))
	// A lock on the shards' rows keeps the drain from ending.
	p := w.start("run", "--shards=2")
	w.waitFor(p, 20)
	release := w.hold("lock table ingestion_shards in access exclusive mode")
	defer release()
	begun := time.Now()
	for p.Process.Signal(syscall.SIGTERM) == nil && time.Since(begun) < 5*time.Second {
		w.waitForOutput(p, "once more to exit at once")
	}
	if code := p.code(t, 5*time.Second); code != 128+15 || !contains(p.out.String(), "exit code 143") {
		t.Fatalf("exit code %d, want 143:\n%s", code, p.out.String())
	}
}

// TestTwoSignalsAtOnceAreOne: timeout(1) sends its signal to the process and then to its group, and the run did not drain.
func TestTwoSignalsAtOnceAreOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, slow(50*time.Millisecond))
	p := w.start("run", "--shards=4")
	w.waitFor(p, 25)
	for range 2 {
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		w.waitForOutput(p, "once more to exit at once")
	}
	if code := p.code(t, 10*time.Second); code != cli.ExitLeft {
		t.Fatalf("exit code %d, want %d:\n%s", code, cli.ExitLeft, p.out.String())
	}
}
