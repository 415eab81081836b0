package terminal

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// shown is a run with all kinds of figures.
func shown(stored int64) view.View {
	return view.View{
		Job: "default", Total: 100_000, Stored: stored, Limit: "the API's quotas", Rejected: 3,
		Requests: view.Requests{Retries: 4, ListRefused: 1},
		Quotas:   []view.Quota{{Endpoint: "list", Recent: 10, Limit: 10, Window: 6, Used: 0.97}, {Endpoint: "stream", Limit: -1}},
		Shards:   []view.Shard{{Number: 1, State: "failed"}, {Number: 2, State: "done", Read: 1}, {Number: 3, State: "running"}},
	}
}

// showFor returns the lines that are written in that time without a terminal, at 1,000 events per second.
func showFor(t *testing.T, d time.Duration, asJSON bool) []string {
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		stored := int64(0)
		Show(ctx, NewConsole(&out), func(string) (string, bool) { return "", false }, asJSON, func() view.View {
			stored += 500
			return shown(stored)
		})
	})
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

// TestALineEveryFiveSeconds without a terminal, and none after the end.
func TestALineEveryFiveSeconds(t *testing.T) {
	lines := showFor(t, 21*time.Second, false)
	if len(lines) != 4 {
		t.Fatalf("%d lines in 21 s: %q", len(lines), lines)
	}
	const want = "20,500 of 100,000 events (20.5%), 1,000 events/s, about 1m 19s left, 1/3 shards, 1 failed, limited by the API's quotas, " +
		"list 10 of 10 in 6s (97% used), 3 dead letters, 4 repeated, 1 refused"
	if lines[3] != want {
		t.Errorf("the line is\n%s\nwant\n%s", lines[3], want)
	}
}

// TestProgressAsJSON: one object per line. Scripts rely on the keys.
func TestProgressAsJSON(t *testing.T) {
	lines := showFor(t, 6*time.Second, true)
	if len(lines) != 1 {
		t.Fatalf("%d lines in 6 s: %q", len(lines), lines)
	}
	_, line, cut := strings.Cut(lines[0], `,"level"`) // before it is the time
	const want = `:"INFO","msg":"progress","job":"default","stored":5500,"total":100000,"share":0.055,"events_per_second":1000,"seconds_left":94.5,` +
		`"shards":3,"shards_done":1,"shards_failed":1,"shards_running":1,"dead_letters":3,"requests_repeated":4,"requests_refused":1,` +
		`"limited_by":"the API's quotas","paused":false,"quotas":[{"endpoint":"list","limit":10,"window_seconds":6,"known":"","recent":10,"used":0.97,"waiting":0},` +
		`{"endpoint":"stream","limit":-1,"window_seconds":0,"known":"","recent":0,"used":0,"waiting":0}]}`
	if !json.Valid([]byte(lines[0])) || !cut || line != want {
		t.Errorf("the line is\n%s\nwant\n%s", line, want)
	}
}
