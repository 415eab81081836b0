package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// TestStatusShowsTheRounds: a chart of how far the table was behind, and the last rounds with their requests.
func TestStatusShowsTheRounds(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	v := &view.View{Job: "default", Source: "x", Round: 4, At: now}
	for n := range 4 {
		end := now.Add(-time.Duration(n) * time.Minute)
		mark := end.Add(-10 * time.Second)
		r := view.Round{Number: 4 - n, Began: end.Add(-2 * time.Second), Finished: &end, Events: 1234, Late: 5, Requests: 7, Watermark: &mark, From: "2026-03-08T11:50:00Z"}
		v.Rounds = append(v.Rounds, r)
	}
	v.Rounds[0].Finished, v.Rounds[1].Missing = nil, 3
	var out bytes.Buffer
	p := &Program{Stdout: &out, Environ: func(name string) (string, bool) { return "C.UTF-8", name == "LC_ALL" }}
	if err := p.printStatus(v); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"1m 10s now, peak 1m 10s in the last 3m 00s", "4 2026-03-08 11:59:58 under way 1,234 5 7 2026-03-08 11:50:00",
		"3 2026-03-08 11:58:58 2.0s 1,234 5 7 2026-03-08 11:50:00 3 missing",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if !strings.Contains(out.String(), "█") || !strings.ContainsAny(out.String(), "▁▂") {
		t.Errorf("there is no chart of the lag:\n%s", out.String())
	}
}
