package e2e

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
)

// A terminal that is closed stops a run in good order, as SIGTERM does, and does not become impatient: bash says it once more.
func TestAClosedTerminalDrains(t *testing.T) {
	t.Parallel()
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // tests under nohup ignore it, and so would the run
	w := newWorld(t, 60_000, slow(50*time.Millisecond))
	p := w.start("run", "--shards=2")
	w.waitFor(p, 20)
	release := w.hold("lock table ingestion_shards in access exclusive mode") // so that the second one finds the drain under way
	defer release()
	w.hangUp(p)
	w.waitForOutput(p, "once more to exit at once")
	time.AfterFunc(cli.OneSignal+100*time.Millisecond, func() { w.hangUp(p); release() })
	if code := p.code(t, 20*time.Second); code != cli.ExitLeft {
		t.Fatalf("exit code %d, want %d:\n%s", code, cli.ExitLeft, p.out.String())
	}
	w.mustRun(cli.ExitOK, "run")
	w.exact()
}

// With nohup a closed terminal is nothing to a run.
func TestNohupGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 60_000, slow(50*time.Millisecond))
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := w.startBuilt(func() (string, error) { return "nohup", nil }, nil, path, "run", "--shards=2")
	w.waitFor(p, 20)
	w.hangUp(p)
	if code := p.code(t, time.Minute); code != cli.ExitOK {
		t.Fatalf("exit code %d:\n%s", code, p.out.String())
	}
	w.exact()
}

func (w *world) hangUp(p *process) {
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		w.t.Error(err)
	}
}
