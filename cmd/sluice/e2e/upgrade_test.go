package e2e

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// recordUpgrade is an older program: TestUpgrade then writes the tables as it leaves them to testdata/upgrade, in place of reading
// them. Each migration adds the tables of the commit before it:
//
//	git worktree add ../old COMMIT && (cd ../old && go build -o bin/sluice ./cmd/sluice)
//	go test ./cmd/sluice/e2e -run TestUpgrade -record-upgrade="$PWD/../old/bin/sluice" -upgrade-from=COMMIT
var (
	recordUpgrade = flag.String("record-upgrade", "", "an older program, whose tables TestUpgrade records")
	upgradeFrom   = flag.String("upgrade-from", "", "the commit of that program")
)

// upgradeWorld is a source that has grown slowly since the day on which the tables were recorded.
func upgradeWorld(t *testing.T, page int, latency time.Duration) *world {
	newest := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	w := newWorld(t, 600, func(c *apisim.Config) {
		c.Seed, c.Newest, c.Oldest, c.PageCap, c.MalformedShare = 11, newest, newest.AddDate(0, 0, -20), page, 0.02
		c.Live, c.Latency = apisim.Live{Rate: 0.0005}, apisim.Latency{Page: latency, Scale: 1}
	})
	w.env["SLUICE_SOURCE"] = "https://upgrade.example"
	return w
}

// TestUpgrade: what older programs left in the middle of a load or of a round, after a load, and after a follow is finished by this
// one, exactly.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	if *recordUpgrade != "" {
		recordTables(t)
	}
	dumps, err := filepath.Glob("testdata/upgrade/*.sql")
	if err != nil || len(dumps) < 4 {
		t.Fatalf("tables of older programs: %d, %v", len(dumps), err)
	}
	for _, dump := range dumps {
		t.Run(strings.TrimSuffix(filepath.Base(dump), ".sql"), func(t *testing.T) {
			t.Parallel()
			w := upgradeWorld(t, 500, 0)
			tables, err := os.ReadFile(dump)
			if err != nil {
				t.Fatal(err)
			}
			conn := w.connect()
			defer conn.Close(context.Background())
			if _, err := conn.PgConn().Exec(t.Context(), string(tables)).ReadAll(); err != nil {
				t.Fatal(err)
			}
			began := time.Now().Truncate(time.Millisecond)
			w.mustRun(cli.ExitOK, "run")
			w.mustRun(cli.ExitOK, "sync")
			w.mustRun(cli.ExitOK, "verify")
			w.mustRun(cli.ExitOK, "run")
			var got apisim.Sum
			w.query(apisim.TruthSQL, []any{nil, began}, &got.Rows, &got.Hash)
			if want := w.sim.Data().Truth(apisim.Past, began.UnixMicro()); got != want || want.Rows < 600 {
				t.Errorf("the table has %d rows with hash %s, the source %d with %s", got.Rows, got.Hash, want.Rows, want.Hash)
			}
		})
	}
}

// recordTables writes the tables that the older program leaves in each of the states.
func recordTables(t *testing.T) {
	older := func() (string, error) { return *recordUpgrade, nil }
	for state, leave := range map[string]func(*world){
		"loading":   func(w *world) { w.cutShort(older, 12, "run", "--shards=3") },
		"loaded":    func(w *world) { w.completes(older, "run", "--shards=3") },
		"round":     func(w *world) { w.loadHistory(older); w.cutShort(older, 7, "sync", "--shards=3") },
		"following": func(w *world) { w.loadHistory(older); w.followOn(older) },
	} {
		w := upgradeWorld(t, 20, 60*time.Millisecond)
		leave(w)
		w.dump(filepath.Join("testdata", "upgrade", *upgradeFrom+"-"+state+".sql"))
	}
}

// loadHistory loads what was there before the source grew.
func (w *world) loadHistory(build func() (string, error)) {
	still := w.sim.Config()
	still.Live = apisim.Live{}
	before, err := apisim.New(still)
	if err != nil {
		w.t.Fatal(err)
	}
	w.serves.Store(before)
	w.completes(build, "run", "--shards=3")
	w.serves.Store(w.sim)
}

// completes runs a command of a program to its end.
func (w *world) completes(build func() (string, error), args ...string) {
	p := w.startBuilt(build, nil, args...)
	if code := p.code(w.t, time.Minute); code != cli.ExitOK {
		w.t.Fatalf("%v ended with %d:\n%s", args, code, p.out.String())
	}
}

// cutShort kills a command after some pages.
func (w *world) cutShort(build func() (string, error), pages int64, args ...string) {
	p := w.startBuilt(build, nil, args...)
	w.waitFor(p, w.pages()+pages)
	_ = p.Process.Signal(syscall.SIGKILL)
	<-p.exited
}

// followOn follows for some rounds.
func (w *world) followOn(build func() (string, error)) {
	p := w.startBuilt(build, nil, "follow", "--every=1s")
	w.waitFor(p, w.pages()+20)
	_ = p.Process.Signal(syscall.SIGTERM)
	<-p.exited
}

// dump writes all tables as SQL.
func (w *world) dump(name string) {
	out, err := exec.Command("pg_dump", "--inserts", "--rows-per-insert=50", "--no-owner", "--no-privileges",
		"--no-comments", w.env[cli.EnvDatabase]).Output()
	if err != nil {
		w.t.Fatal(err)
	}
	out = regexp.MustCompile(`(?m)^(\\.*|--.*|)\n`).ReplaceAll(out, nil) // psql's own commands, comments and empty lines
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, out, 0o644); err != nil {
		w.t.Fatal(err)
	}
}
