package e2e

import (
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
	"sluice/sink/pgtest"
)

// wantLeft checks that a process ends with work left, says so in these words, and does not claim to be complete.
func (w *world) wantLeft(p *process, words ...string) {
	w.t.Helper()
	if code := p.code(w.t, time.Minute); code != cli.ExitLeft {
		w.t.Fatalf("exit code %d, want %d:\n%s", code, cli.ExitLeft, p.out.String())
	}
	for _, part := range words {
		if !contains(p.out.String(), part) {
			w.t.Errorf("%q is not said in\n%s", part, p.out.String())
		}
	}
	if contains(p.out.String(), "ingestion complete") {
		w.t.Errorf("a run with work left claims to be complete:\n%s", p.out.String())
	}
}

// TestAFullDiskTakesTheServerDown: the disk of the write-ahead log is full, and the server panics. The run waits, and goes on when
// there is room and somebody has started the server again.
func TestAFullDiskTakesTheServerDown(t *testing.T) {
	t.Parallel()
	prebuild(t)
	disk := pgtest.SmallServer(t, 160)
	w := newWorld(t, 60_000, func(c *apisim.Config) {
		slow(50 * time.Millisecond)(c)
		c.PageCap = 1000 // or the disk would hold it all
	})
	w.env[cli.EnvDatabase] = disk.Database()
	p := w.start("run", "--shards=4")
	w.waitFor(p, 20)
	disk.FillServer()
	w.waitForOutput(p, "the database does not take commits")
	disk.FreeServer()
	if code := p.code(t, 2*time.Minute); code != cli.ExitOK {
		t.Fatalf("exit code %d:\n%s", code, p.out.String())
	}
	w.exact()
}

// TestAFullDiskEndsTheRunWithItsWords: it pauses, says what is full, gives up with exit code 4; with room the next run goes on.
func TestAFullDiskEndsTheRunWithItsWords(t *testing.T) {
	t.Parallel()
	prebuild(t)
	disk := pgtest.SmallDisk(t, 48)
	w := newWorld(t, 60_000, func(c *apisim.Config) {
		slow(50 * time.Millisecond)(c)
		c.PageCap = 1000 // or the disk would hold it all
	})
	w.env[cli.EnvDatabase] = disk.Database()
	p := w.start("run", "--shards=4", "--give-up-after=4s")
	w.waitFor(p, 25)
	disk.Fill(500)
	w.wantLeft(p, "the database's disk is full, free some space", "wait for the database, which takes no commits since", "no page was committed")
	disk.Free()
	w.mustRun(cli.ExitOK, "run")
	w.exact()
}
