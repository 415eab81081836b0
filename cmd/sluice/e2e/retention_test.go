package e2e

import (
	"fmt"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// TestASourceThatForgets: a retention deletes the oldest events while they are read. What vanished before it was read is counted and
// said, all the rest is there, and every command ends with 0.
func TestASourceThatForgets(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{1, 20} {
		t.Run(fmt.Sprint(rate, " a second"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3_000, func(c *apisim.Config) {
				c.PageCap, c.Latency = 50, apisim.Latency{Page: 40 * time.Millisecond, Scale: 1}
				c.Newest = time.Now().Add(-time.Second).Truncate(time.Millisecond)
				c.Live = apisim.Live{Rate: 5, Forget: rate}
			})
			run := w.mustRun(cli.ExitOK, "run", "--shards=2", "--fetchers=1")
			if !contains(run.stderr, "the source has forgotten events") {
				t.Errorf("nothing is said of what vanished:\n%s", run.stderr)
			}
			w.mustRun(cli.ExitOK, "sync", "--safety-lag=0s")
			first, _ := w.sim.Data().At(time.Now()).Serials()
			oldest := w.sim.Data().Event(first).AtMS * 1000
			w.mustRun(cli.ExitOK, "verify")
			w.mustRun(cli.ExitOK, "run")
			newest := w.number(`select (extract(epoch from max("timestamp")) * 1000000)::bigint + 1 from ingested_events`)
			var got apisim.Sum
			w.query(apisim.TruthSQL, []any{time.UnixMicro(oldest), nil}, &got.Rows, &got.Hash)
			if want := w.sim.Data().At(time.UnixMicro(newest)).Truth(oldest, newest); got != want {
				t.Errorf("the table has %d of the events that are left, the source %d", got.Rows, want.Rows)
			}
		})
	}
}
