package terminal

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNumberPutsThousandsApart(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 3000000: "3,000,000", -12345: "-12,345"} {
		if got := Number(n); got != want {
			t.Errorf("Number(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestShortIsHowPeopleSayIt(t *testing.T) {
	for d, want := range map[time.Duration]string{
		12300 * time.Millisecond: "12.3s", 9*time.Minute + 46*time.Second: "9m 46s", 62 * time.Minute: "1h 02m",
	} {
		if got := Short(d); got != want {
			t.Errorf("Short(%s) = %q, want %q", d, got, want)
		}
	}
}

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

// TestALineEveryFiveSeconds where nobody looks at a terminal, and none after the end.
func TestALineEveryFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 21*time.Second)
		defer cancel()
		stored := int64(0)
		Show(ctx, NewConsole(&out), func(string) (string, bool) { return "", false }, func() View {
			stored += 500
			return View{Total: 100_000, Stored: stored, Shards: 8, Limit: "the API's quotas", Quota: "quota list 10/10", Reject: 3, Failed: 1}
		})
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 4 {
			t.Fatalf("%d lines in 21 s:\n%s", len(lines), out.String())
		}
		for _, part := range []string{"of 100,000 events", "1,000 events/s", "left", "0/8 shards", "1 failed", "3 dead letters", "quota list 10/10", "limited by the API's quotas"} {
			if !strings.Contains(lines[3], part) {
				t.Errorf("%q is not in %q", part, lines[3])
			}
		}
	})
}

func TestFitNeverWraps(t *testing.T) {
	if got := fit("0123456789", 4); got != "0123" {
		t.Error(got)
	}
	if got := fit("0123", 10); got != "0123" {
		t.Error(got)
	}
}
