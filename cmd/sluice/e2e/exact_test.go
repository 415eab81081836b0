package e2e

import (
	"fmt"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// middle is an instant in the middle of the simulated span.
var middle = time.Date(2026, 1, 12, 0, 0, 0, 0, time.UTC)

// conditions are APIs that a run must get everything out of, exactly. Pages are small, a tenth of the real ones, where nothing else
// is said: what is tried is how they meet.
var conditions = []struct {
	name   string
	events int64
	args   []string
	change func(*apisim.Config)
}{
	{"1 shard", 6_000, []string{"--shards=1"}, nil},
	{"3 shards", 6_000, []string{"--shards=3"}, nil},
	{"8 shards", 6_000, []string{"--shards=8"}, nil},
	{"8 shards, pages of 5,000", 60_000, []string{"--shards=8"}, func(c *apisim.Config) { c.PageCap = 5_000 }},
	{"64 shards", 6_000, []string{"--shards=64"}, nil},
	{"no event", apisim.None, nil, nil},
	{"one event", 1, nil, nil},
	{"less than a page", 300, nil, nil},
	{"exactly one page", 500, []string{"--shards=1"}, nil},
	{"half in one hour", 6_000, nil, func(c *apisim.Config) { c.SkewShare = 0.5 }},
	{"1,200 in one millisecond", 6_000, nil, func(c *apisim.Config) {
		c.Ties = []apisim.Tie{{Events: 1_200, At: middle}}
	}},
	{"ties on the edges of windows", 4_000, []string{"--shards=2", "--from=2026-01-01", "--to=2026-01-23"}, func(c *apisim.Config) {
		c.PageCap, c.Oldest, c.Newest = 100, middle.Add(-11*24*time.Hour), middle.Add(11*24*time.Hour-time.Second)
		c.Ties = []apisim.Tie{{Events: 60, At: middle}, {Events: 140, At: middle.Add(-time.Millisecond)}}
	}},
	{"until exclusive", 6_000, nil, func(c *apisim.Config) { c.UntilExclusive = true }},
	{"since exclusive", 6_000, nil, func(c *apisim.Config) { c.SinceExclusive = true }},
	{"both exclusive", 6_000, nil, func(c *apisim.Config) { c.SinceExclusive, c.UntilExclusive = true, true }},
	{"until on both endpoints", 6_000, nil, func(c *apisim.Config) { c.Window = apisim.WindowBoth }},
	{"until nowhere", 6_000, nil, func(c *apisim.Config) { c.Window = apisim.WindowNone }},
	{"pages of 37", 5_000, nil, func(c *apisim.Config) { c.PageCap = 37 }},
	{"pages of 100,000", 120_000, []string{"--shards=3"}, func(c *apisim.Config) { c.PageCap = 100_000 }},
	{"flat bodies", 6_000, nil, func(c *apisim.Config) { c.Flat = true }},
	{"gzip", 6_000, nil, func(c *apisim.Config) { c.Gzip = true }},
	{"without stream access", 6_000, nil, func(c *apisim.Config) { c.Gate = apisim.GateShut }},
	{"without stream access, until on the list", 6_000, nil, func(c *apisim.Config) {
		c.Gate, c.Window = apisim.GateShut, apisim.WindowBoth
	}},
	{"opaque cursors", 6_000, nil, func(c *apisim.Config) { c.Opaque = true }},
	{"opaque cursors without stream access", 6_000, nil, func(c *apisim.Config) { c.Opaque, c.Gate = true, apisim.GateShut }},
	{"cursors that live 1 s, tokens 3 s", 6_000, nil, func(c *apisim.Config) {
		c.CursorLife, c.TokenLife = time.Second, 3*time.Second
	}},
	{"5 % early ends", 6_000, nil, func(c *apisim.Config) { c.PageCap, c.Faults.EarlyEnd = 100, 0.05 }},
	{"5 % cut bodies", 6_000, nil, func(c *apisim.Config) { c.PageCap, c.Faults.CutBody = 100, 0.05 }},
	{"5 % server errors", 6_000, nil, func(c *apisim.Config) { c.PageCap, c.Faults.ServerError = 100, 0.05 }},
	{"all faults", 6_000, nil, func(c *apisim.Config) {
		c.PageCap, c.CacheLife = 100, 2*time.Second
		c.Faults.EarlyEnd, c.Faults.CutBody, c.Faults.ServerError = 0.03, 0.03, 0.03
		c.Faults.NullBody, c.Faults.ExpiredCursor = 0.03, 0.03
	}},
	{"wrong timestamps", 6_000, nil, func(c *apisim.Config) { c.PageCap, c.WrongShare = 100, 0.01 }},
}

// TestExact runs the whole program against each kind of API: count and hash of the table are those of the source, and a
// second run ends without a single page request.
func TestExact(t *testing.T) {
	t.Parallel()
	for _, c := range conditions {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.events, func(config *apisim.Config) {
				config.PageCap = 500
				if c.change != nil {
					c.change(config)
				}
			})
			args := append([]string{"run", "--shards=4", "--fetchers=4"}, c.args...)
			r := w.mustRun(cli.ExitOK, args...)
			w.exact()
			checkLastLines(t, r.stdout)
			before := w.pages()
			w.mustRun(cli.ExitOK, args...)
			if asked := w.pages() - before; asked != 0 {
				t.Errorf("the second run asked for %d pages", asked)
			}
		})
	}
}

// TestMalformedRecordsAreDeadLettersByteForByte: one record in a hundred is malformed, in two dozen ways.
func TestMalformedRecordsAreDeadLettersByteForByte(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12_000, func(c *apisim.Config) { c.PageCap, c.MalformedShare = 400, 0.025 })
	w.mustRun(cli.ExitOK, "run", "--shards=4", "--max-dead-letters=1000")
	w.exact()
	defer w.keep()()
	n := 0
	for serial := range w.sim.Data().Events() {
		raw := w.sim.Data().MalformedRecord(serial)
		if raw == nil {
			continue
		}
		n++
		var found int
		w.query(`select count(*) from dead_letters where sha256 = sha256($1) and raw = $1 and raw_bytes = length($1)`, []any{raw}, &found)
		if found != 1 {
			t.Errorf("%d dead letters for the record %.200q", found, raw)
		}
	}
	var all int
	w.query(`select count(*) from dead_letters`, nil, &all)
	if n < 200 || all != n {
		t.Errorf("%d dead letters for %d malformed records", all, n)
	}
}

func checkLastLines(t *testing.T, stdout string) {
	t.Helper()
	lines := splitLines(stdout)
	if len(lines) < 2 || lines[len(lines)-2] != "ingestion complete" {
		t.Errorf("the last line but one is not \"ingestion complete\":\n%s", stdout)
	}
	for i, line := range lines {
		if line == "ingestion complete" && i != len(lines)-2 {
			t.Errorf("\"ingestion complete\" is line %d of %d", i+1, len(lines))
		}
	}
}

// TestImpossibleFailsClearly: where nothing leads through, the run says so instead of going round in circles.
func TestImpossibleFailsClearly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want   string
		change func(*apisim.Config)
	}{
		"a tie larger than a page, cursors die at once": {"cannot advance beyond 2026-01-12T00:00:00Z", func(c *apisim.Config) {
			c.PageCap, c.CursorLife = 500, time.Millisecond
			c.Ties = []apisim.Tie{{Events: 2000, At: middle}}
		}},
		"opaque cursors that die at once, no stream": {"cannot advance", func(c *apisim.Config) {
			c.PageCap, c.CursorLife, c.Opaque, c.Gate = 500, time.Millisecond, true, apisim.GateShut
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 10_000, c.change)
			r := w.mustRun(cli.ExitLeft, "run", "--shards=3")
			if !contains(r.stdout+r.stderr, c.want) {
				t.Errorf("%q is not in\n%s%s", c.want, r.stdout, r.stderr)
			}
			if contains(r.stdout, "ingestion complete") {
				t.Error("the run claims to be complete")
			}
		})
	}
}

// TestPagesAreTheFewestPossible: a calm run asks for each page once, for one more where a window ends inside a page, and for
// one to confirm the end of the data.
func TestPagesAreTheFewestPossible(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 4} {
		w := newWorld(t, 6_000, func(c *apisim.Config) { c.PageCap = 500 })
		w.mustRun(cli.ExitOK, "run", fmt.Sprintf("--shards=%d", shards))
		const survey = 14
		if most := int64(6_000/500 + shards + 2 + survey); w.pages() > most {
			t.Errorf("%d shards: %d requests, %d at most were expected", shards, w.pages(), most)
		}
	}
}
