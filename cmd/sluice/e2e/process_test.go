package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sluice/fetch/apisim"
)

// built are the directories of the binaries; none if no test needed one.
var (
	builtMu sync.Mutex
	built   []string
)

// binary builds the program once for all tests that need it as a process, crashBinary the one with fail points.
var (
	binary      = sync.OnceValues(func() (string, error) { return compile() })
	crashBinary = sync.OnceValues(func() (string, error) { return compile("-tags=failpoints") })
)

func compile(flags ...string) (string, error) {
	dir, err := os.MkdirTemp("", "sluice-test-bin-")
	if err != nil {
		return "", err
	}
	builtMu.Lock()
	built = append(built, dir)
	builtMu.Unlock()
	path := filepath.Join(dir, "sluice")
	args := append([]string{"build", "-o", path}, flags...)
	out, err := exec.Command("go", append(args, "sluice/cmd/sluice")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
}

// prebuild makes the binary before a test starts a server of its own: that ends itself when nobody has used it for 20 s, and a first
// build on a busy machine takes longer.
func prebuild(t *testing.T) {
	t.Helper()
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
}

// TestMain removes the binaries that tests built.
func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv("CRASH_RUNS") != "" {
		fmt.Printf("\n%s\n", &crashes)
	}
	for _, dir := range built {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// process is the program as a process of its own.
type process struct {
	*exec.Cmd
	out    locked
	exited chan struct{}
}

// start starts the program against the world's API and database.
func (w *world) start(args ...string) *process {
	w.t.Helper()
	return w.startBuilt(binary, nil, args...)
}

// startBuilt starts one of the binaries, with more environment than the world's.
func (w *world) startBuilt(build func() (string, error), env []string, args ...string) *process {
	w.t.Helper()
	path, err := build()
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(path, args...), exited: make(chan struct{})}
	p.Env = append(os.Environ(), env...)
	for name, value := range w.env {
		p.Env = append(p.Env, name+"="+value)
	}
	p.Stdout, p.Stderr = &p.out, &p.out
	if err := p.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = p.Process.Kill() })
	go func() {
		_ = p.Wait()
		w.guard(fmt.Sprintf("the output of the process %v", args), p.out.String())
		close(p.exited)
	}()
	return p
}

// code waits for the end of the process and returns its exit code.
func (p *process) code(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.ProcessState.ExitCode()
	case <-time.After(within):
		t.Fatalf("the process did not end within %s:\n%s", within, p.out.String())
		return -1
	}
}

// slow makes an API whose pages take a while, so that there is a middle to a run. They are small: what matters is how many.
func slow(page time.Duration) func(*apisim.Config) {
	return func(c *apisim.Config) {
		c.PageCap = 200
		c.Latency = apisim.Latency{Page: page, Jitter: page / 2, Scale: 1}
	}
}

// waitFor waits until the API has served so many page requests.
func (w *world) waitFor(p *process, requests int64) {
	w.t.Helper()
	deadline := time.After(60 * time.Second)
	for w.pages() < requests {
		select {
		case <-p.exited:
			return
		case <-deadline:
			w.t.Fatalf("only %d page requests came:\n%s", w.pages(), p.out.String())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// waitForOutput waits until the process has printed a text.
func (w *world) waitForOutput(p *process, text string) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for !contains(p.out.String(), text) {
		select {
		case <-deadline:
			w.t.Fatalf("%q was not printed:\n%s", text, p.out.String())
		case <-time.After(2 * time.Millisecond):
		}
	}
}
