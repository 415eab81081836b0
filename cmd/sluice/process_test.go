package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/fetch/apisim"
	"sluice/sink/embedpg"
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
	out, err := exec.Command("go", append(args, ".")...).CombinedOutput()
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

// TestKilledTenTimesThenExact kills the process with SIGKILL at ten random moments, then lets it finish.
func TestKilledTenTimesThenExact(t *testing.T) {
	t.Parallel()
	const events, page, shards, queue = 40_000, 200, 4, 2
	w := newWorld(t, events, slow(30*time.Millisecond))
	args := []string{"run", fmt.Sprintf("--shards=%d", shards), fmt.Sprintf("--queue-pages=%d", queue)}
	kills := 0
	for range 10 {
		before := w.pages()
		p := w.start(args...)
		w.waitFor(p, before+1+rand.Int64N(25))
		if err := p.Process.Signal(syscall.SIGKILL); err == nil {
			kills++
		}
		<-p.exited
	}
	p := w.start(args...)
	if code := p.code(t, time.Minute); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, p.out.String())
	}
	w.exact()
	if kills < 5 {
		t.Errorf("only %d kills hit a running process", kills)
	}
	// Each kill may cost each fetcher the page on its way, its queue, and the batch that was being committed.
	again := int64(kills * shards * (1 + queue + 2))
	const least = events/page + shards + 2
	const surveys = 14 * 11
	if asked := w.pages(); asked > least+surveys+again {
		t.Errorf("%d page requests after %d kills, %d at most were expected", asked, kills, least+surveys+again)
	}
}

// TestSIGTERMDrains: exit code 4 within 10 s, everything fetched is stored, and the same command finishes.
func TestSIGTERMDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, slow(50*time.Millisecond))
	p := w.start("run", "--shards=4")
	w.waitFor(p, 25)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.code(t, 10*time.Second); code != exitLeft {
		t.Fatalf("exit code %d, want %d:\n%s", code, exitLeft, p.out.String())
	}
	if out := p.out.String(); contains(out, "ingestion complete") {
		t.Errorf("an interrupted run claims to be complete:\n%s", out)
	}
	w.mustRun(exitOK, "run", "--shards=4")
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
		w.waitForOutput(p, "again to leave at once")
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
		w.waitForOutput(p, "again to leave at once")
	}
	if code := p.code(t, 10*time.Second); code != exitLeft {
		t.Fatalf("exit code %d, want %d:\n%s", code, exitLeft, p.out.String())
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

// TestDatabaseRestartsInTheMiddle crashes PostgreSQL and starts it again: the run goes on by itself.
func TestDatabaseRestartsInTheMiddle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 30_000, slow(20*time.Millisecond))
	ctx := context.Background()
	prebuild(t)
	server := embedpg.TestServer(t, embedpg.TestOptions{Sync: true})
	if err := server.EnsureDatabase(ctx, "restarted"); err != nil {
		t.Fatal(err)
	}
	w.env[envDatabase] = server.URL("restarted")
	p := w.start("run", "--shards=4")
	w.waitFor(p, 40)
	if err := server.Crash(ctx); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if w.env[envDatabase] != server.URL("restarted") {
		t.Fatal("the server came back on another port")
	}
	if code := p.code(t, 2*time.Minute); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, p.out.String())
	}
	w.exact()
}

// TestOneRunPerJob: the second exits with 6, and the first is not disturbed.
func TestOneRunPerJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 80_000, slow(100*time.Millisecond))
	p := w.start("run", "--shards=4")
	w.waitFor(p, 20)
	r := w.mustRun(exitLocked, "run", "--shards=4")
	if !contains(r.stderr, "another run holds the job") {
		t.Errorf("stderr:\n%s", r.stderr)
	}
	if code := p.code(t, 2*time.Minute); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, p.out.String())
	}
	w.exact()
}

// TestTwentyRunsAtOnce: one plans and runs, nineteen exit with 6 and have asked the API nothing.
func TestTwentyRunsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4_000, slow(time.Millisecond))
	w.mustRun(exitOK, "db", "migrate")
	release := w.hold("lock table ingested_events in exclusive mode") // keeps the one from ending before the others give up
	defer release()
	ended := make(chan *process)
	for range 20 {
		p := w.start("run", "--shards=4")
		go func() {
			<-p.exited
			ended <- p
		}()
	}
	for range 19 {
		if p := <-ended; p.ProcessState.ExitCode() != exitLocked {
			t.Errorf("exit code %d:\n%s", p.ProcessState.ExitCode(), p.out.String())
		}
	}
	release()
	if p := <-ended; p.ProcessState.ExitCode() != exitOK {
		t.Errorf("exit code %d:\n%s", p.ProcessState.ExitCode(), p.out.String())
	}
	w.exact()
	var jobs, shards, begun int
	w.query(`select (select count(*) from ingestion_jobs), count(*), max(attempts) from ingestion_shards`, nil, &jobs, &shards, &begun)
	if jobs != 1 || shards != 4 || begun != 1 {
		t.Errorf("%d jobs, %d shards, begun %d times", jobs, shards, begun)
	}
}
