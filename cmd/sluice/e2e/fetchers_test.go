package e2e

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/cli"
)

// TestWhatTheFetchersDid: the shares of each fetcher sum up to 1, and a slow API shows as reading. A fetcher without a shard is idle until a
// part of another shard is split off for it.
func TestWhatTheFetchersDid(t *testing.T) {
	t.Parallel()
	w := slowWorld(t)
	r := w.mustRun(cli.ExitOK, "run", "--shards=3", "--fetchers=4", "--max-dead-letters=1000", "--json")
	var got cli.Result
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Fetchers) != 4 {
		t.Fatalf("%d fetchers, want 4:\n%s", len(got.Fetchers), r.stdout)
	}
	idle := 0
	for n, f := range got.Fetchers {
		if sum := f.Reading + f.Quota + f.Pausing + f.Database + f.Idle; math.Abs(sum-1) > 1e-6 || f.Seconds <= 0 || f.Seconds > got.Seconds {
			t.Errorf("fetcher %d of a run of %v s: the shares sum up to %v: %+v", n, got.Seconds, sum, f)
		}
		if f.Reading == 0 {
			t.Errorf("fetcher %d read nothing: %+v", n, f)
		}
		if f.Reading < f.Database+f.Idle {
			idle++
		}
	}
	if idle > 1 {
		t.Errorf("%d of 4 fetchers of 3 shards were mostly idle, with pages of 400 ms:\n%s", idle, r.stdout)
	}
	if r = w.mustRun(cli.ExitOK, "run", "--job=again", "--shards=2", "--from=2026-01-20", "--max-dead-letters=1000"); !strings.Contains(r.stdout, "2 fetchers: reading ") {
		t.Errorf("the summary does not say what the fetchers did:\n%s", r.stdout)
	}
}
