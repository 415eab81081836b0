package terminal

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestETAIsSilentWhileItWouldBeAGuess: no word before 2 % or 30 s; then the rest at the measured rate.
func TestETAIsSilentWhileItWouldBeAGuess(t *testing.T) {
	var r rate
	start := time.Unix(1000, 0)
	r.add(start, 100)
	r.add(start.Add(time.Second), 110)
	v := View{Total: 1000, Stored: 110}
	if eta, ok := r.eta(v, start.Add(time.Second)); ok {
		t.Errorf("1 %% done after 1 s: %s", eta)
	}
	r.add(start.Add(2*time.Second), 200)
	if eta, ok := r.eta(View{Total: 1000, Stored: 200}, start.Add(2*time.Second)); !ok || eta != 16*time.Second {
		t.Errorf("50 events/s and 800 to go: %s, %t", eta, ok)
	}
	if _, ok := r.eta(View{Stored: 200}, start.Add(time.Hour)); ok {
		t.Error("an ETA without a total")
	}
}

func TestRateLooksBackOverAWindow(t *testing.T) {
	var r rate
	start := time.Unix(1000, 0)
	for i := range 100 {
		r.add(start.Add(time.Duration(i)*time.Second), int64(min(i, 50))*10)
	}
	if got := r.recent(); got != 0 {
		t.Errorf("nothing came for 49 s, the rate is %.1f", got)
	}
	if got := r.overall(); got < 5 || got > 6 {
		t.Errorf("500 events in 99 s are %.1f a second", got)
	}
}

// shown is a run with much to tell.
func shown(stored int64) View {
	return View{
		Job: "default", Total: 100_000, Stored: stored, Limit: "the API's quotas", Reject: 3, Repeated: 4, Refused: 1,
		Quotas: []Quota{{Endpoint: "list", Recent: 10, Limit: 10, Window: 6 * time.Second, Used: 0.97}, {Endpoint: "stream", Limit: -1}},
		Shards: []Shard{{Number: 1, State: "failed"}, {Number: 2, State: "done", Share: 1}, {Number: 3, State: "running"}},
	}
}

// showFor returns what is said in so long where nobody looks at a terminal, at 1,000 events a second.
func showFor(t *testing.T, d time.Duration, asJSON bool) []string {
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		stored := int64(0)
		Show(ctx, NewConsole(&out), func(string) (string, bool) { return "", false }, asJSON, func() View {
			stored += 500
			return shown(stored)
		})
	})
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

// TestALineEveryFiveSeconds where nobody looks at a terminal, and none after the end.
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

// TestProgressAsJSON: an object a line. Scripts rely on the keys.
func TestProgressAsJSON(t *testing.T) {
	lines := showFor(t, 6*time.Second, true)
	if len(lines) != 1 {
		t.Fatalf("%d lines in 6 s: %q", len(lines), lines)
	}
	_, line, cut := strings.Cut(lines[0], `,"level"`) // before it is the time
	const want = `:"INFO","msg":"progress","job":"default","stored":5500,"total":100000,"share":0.055,"events_per_second":1000,"seconds_left":94.5,` +
		`"shards":3,"shards_done":1,"shards_failed":1,"shards_running":1,"dead_letters":3,"requests_repeated":4,"requests_refused":1,` +
		`"limited_by":"the API's quotas","paused":false,"quotas":[{"endpoint":"list","limit":10,"window_seconds":6,"recent":10,"used":0.97},` +
		`{"endpoint":"stream","limit":-1,"window_seconds":0,"recent":0,"used":0}]}`
	if !json.Valid([]byte(lines[0])) || !cut || line != want {
		t.Errorf("the line is\n%s\nwant\n%s", line, want)
	}
}

// TestAPauseIsToldFirst: that it is one, and how to go on, in place of a rate and an end that nobody knows.
func TestAPauseIsToldFirst(t *testing.T) {
	v := shown(50_000)
	v.Limit, v.Paused = "you paused it", "paused by you for 12.0s (kill -USR1 42 goes on)"
	const want = "50,000 of 100,000 events (50.0%), paused by you for 12.0s (kill -USR1 42 goes on), 1/3 shards, 1 failed, list 10 of 10 in 6s"
	if line := (&rate{}).line(v, time.Unix(1000, 0)); !strings.HasPrefix(line, want) {
		t.Errorf("the line is\n%s\nwant\n%s…", line, want)
	}
}

// TestAPieceSaysWhatItIsAPartOf, where the window is wide enough, in a column that the others leave empty.
func TestAPieceSaysWhatItIsAPartOf(t *testing.T) {
	v := running(3)
	v.Shards[2].Parent = 1
	frame := frameOf(v, 120, 24)
	if !strings.HasSuffix(frame[2], "2026-01-05 10:12  part of 1") || widthOf(frame[1]) != widthOf(frame[2]) {
		t.Errorf("the frame is\n%s", strings.Join(frame, "\n"))
	}
}

func TestASparkIsAsHighAsItsValues(t *testing.T) {
	for want, ascii := range map[string]bool{" ▁▄█": false, " .=%": true} {
		if got := (&Paper{s: style{ascii: ascii}}).Spark([]float64{0, 0.1, 0.5, 2}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
