package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
)

// TestSIGUSR1PausesARun: no pages are requested, pages in flight are committed, all displays show how to resume, and the run then ends as if
// nothing had happened. A second pause is ended by SIGTERM, as any run is.
func TestSIGUSR1PausesARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 40_000, slow(30*time.Millisecond))
	p := w.start("run", "--shards=4", "--listen=127.0.0.1:0")
	w.waitFor(p, 22)
	w.signal(p, syscall.SIGUSR1)
	w.waitForOutput(p, "paused by you")
	page := pageAddress.FindStringSubmatch(p.out.String())[1]
	again := fmt.Sprintf("kill -USR1 %d", p.Process.Pid)
	for path, want := range map[string]string{
		"": again, "view": `"go_on": "` + again, "metrics": "sluice_paused 1", "readyz": "503 Service Unavailable\npaused by you",
	} {
		eventually(t, page+path, want)
	}
	w.waitForStatus("paused by you")
	stored, asked := w.settled(p)
	if asked != w.pages() || stored == 0 {
		t.Errorf("%d rows stored, and %d requests after the pause", stored, w.pages()-asked)
	}
	w.signal(p, syscall.SIGUSR1)
	w.waitForOutput(p, "the pause is over")
	w.waitFor(p, asked+3)
	w.signal(p, syscall.SIGUSR1)
	w.waitForStatus("paused by you")
	w.signal(p, syscall.SIGTERM)
	if code := p.code(t, 10*time.Second); code != cli.ExitLeft {
		t.Fatalf("exit code %d, want %d:\n%s", code, cli.ExitLeft, p.out.String())
	}
	if out := p.out.String(); !contains(out, "paused by you ") {
		t.Errorf("the summary does not have the time of the pause:\n%s", out)
	}
	w.mustRun(cli.ExitOK, "run", "--shards=4")
	w.exact()
}

// settled waits until all that was fetched is stored: the ledger has received what the API has served. It returns the rows.
func (w *world) settled(p *process) (stored, asked int64) {
	w.t.Helper()
	var before int64
	for steady := 0; steady < 20; {
		asked = w.pages()
		w.query(`select coalesce(sum(events), 0)::bigint from ingestion_shards`, nil, &stored)
		if steady++; stored != before || asked != w.pages() {
			before, steady = stored, 0
		}
		select {
		case <-p.exited:
			w.t.Fatalf("the run has ended:\n%s", p.out.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return stored, asked
}

func (w *world) signal(p *process, s os.Signal) {
	w.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		w.t.Fatalf("%v:\n%s", err, p.out.String())
	}
}

// waitForStatus waits until `sluice status` says a text.
func (w *world) waitForStatus(text string) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		r := w.mustRun(cli.ExitOK, "status")
		if contains(r.stdout, text) {
			return
		}
		select {
		case <-deadline:
			w.t.Fatalf("the status has no %q:\n%s", text, r.stdout)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestCtrlZStopsARunAndFgGoesOn: the run logs it before it is suspended, does nothing meanwhile, and resumes exactly once.
func TestCtrlZStopsARunAndFgGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 40_000, slow(30*time.Millisecond))
	p := w.start("run", "--shards=4")
	w.waitFor(p, 22)
	w.signal(p, syscall.SIGTSTP)
	w.waitForOutput(p, "suspended by Ctrl-Z")
	for deadline := time.After(20 * time.Second); kernelState(t, p) != "T"; {
		select {
		case <-deadline:
			t.Fatalf("it is in state %s:\n%s", kernelState(t, p), p.out.String())
		case <-time.After(time.Millisecond):
		}
	}
	w.signal(p, syscall.SIGCONT)
	w.waitForOutput(p, "the run resumes after Ctrl-Z")
	if code := p.code(t, time.Minute); code != cli.ExitOK {
		t.Fatalf("exit code %d:\n%s", code, p.out.String())
	}
	w.exact()
}

// kernelState is the state of a process as Linux shows it: T is stopped.
func kernelState(t *testing.T, p *process) string {
	t.Helper()
	text := read(t, fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
	return strings.Fields(text[strings.LastIndex(text, ")")+1:])[0]
}
