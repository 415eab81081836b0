package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/sink/pgtest"
)

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
	if code := p.code(t, time.Minute); code != cli.ExitOK {
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

// TestDatabaseRestartsInTheMiddle crashes PostgreSQL and starts it again: the run goes on by itself.
func TestDatabaseRestartsInTheMiddle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 30_000, slow(20*time.Millisecond))
	ctx := context.Background()
	prebuild(t)
	server := pgtest.NewServer(t, pgtest.Options{Sync: true})
	if err := server.EnsureDatabase(ctx, "restarted"); err != nil {
		t.Fatal(err)
	}
	w.env[cli.EnvDatabase] = server.URL("restarted")
	p := w.start("run", "--shards=4")
	w.waitFor(p, 40)
	if err := server.Crash(ctx); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if w.env[cli.EnvDatabase] != server.URL("restarted") {
		t.Fatal("the server came back on another port")
	}
	if code := p.code(t, 2*time.Minute); code != cli.ExitOK {
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
	r := w.mustRun(cli.ExitLocked, "run", "--shards=4")
	if !contains(r.stderr, "another run holds the job") {
		t.Errorf("stderr:\n%s", r.stderr)
	}
	if code := p.code(t, 2*time.Minute); code != cli.ExitOK {
		t.Fatalf("exit code %d:\n%s", code, p.out.String())
	}
	w.exact()
}

// TestTwentyRunsAtOnce: one plans and runs, nineteen exit with 6 and have asked the API nothing.
func TestTwentyRunsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4_000, slow(time.Millisecond))
	w.mustRun(cli.ExitOK, "db", "migrate")
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
		if p := <-ended; p.ProcessState.ExitCode() != cli.ExitLocked {
			t.Errorf("exit code %d:\n%s", p.ProcessState.ExitCode(), p.out.String())
		}
	}
	release()
	if p := <-ended; p.ProcessState.ExitCode() != cli.ExitOK {
		t.Errorf("exit code %d:\n%s", p.ProcessState.ExitCode(), p.out.String())
	}
	w.exact()
	var jobs, shards, begun int
	w.query(`select (select count(*) from ingestion_jobs), count(*), max(attempts) from ingestion_shards`, nil, &jobs, &shards, &begun)
	if jobs != 1 || shards != 4 || begun != 1 {
		t.Errorf("%d jobs, %d shards, begun %d times", jobs, shards, begun)
	}
}
