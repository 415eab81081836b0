package quota

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/coordinator/ledger"
)

func TestParseWait(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, c := range []struct {
		header string
		want   time.Duration
		ok     bool
	}{
		{"46", 46 * time.Second, true},
		{" 3 ", 3 * time.Second, true},
		{"0", 0, true},
		{"1.5", 2 * time.Second, true},
		{"0.001", time.Second, true},
		{"86400", 24 * time.Hour, true},
		{"1000000", longestWait, true},
		{fmt.Sprint(now.Unix() + 30), 30 * time.Second, true},
		{fmt.Sprintf("%d.5", now.Unix()+29), 30 * time.Second, true},
		{fmt.Sprint(now.UnixMilli() + 30_000), 30 * time.Second, true},
		{fmt.Sprint(now.Unix() - 30), 0, true},
		{"9223372036854775807", longestWait, true},
		{strings.Repeat("9", 400), longestWait, true},
		{in(90 * time.Second), 90 * time.Second, true},
		{in(-time.Hour), 0, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", longestWait, true},
		{"Wednesday, 04-Mar-26 12:00:10 GMT", 10 * time.Second, true}, // RFC 850
		{"Wed Mar  4 12:00:10 2026", 10 * time.Second, true},          // asctime
		{"", 0, false},
		{"-1", 0, false},
		{"+1", 0, false},
		{"1e6", 0, false},
		{"Inf", 0, false},
		{"NaN", 0, false},
		{"0x10", 0, false},
		{"1.2.3", 0, false},
		{".", 0, false},
		{"soon", 0, false},
		{"10 s", 0, false},
		{"2026-03-04T12:00:10Z", 10 * time.Second, true},
	} {
		if got, ok := ParseWait(c.header, now); got != c.want || ok != c.ok {
			t.Errorf("ParseWait(%.40q) = %v, %v, want %v, %v", c.header, got, ok, c.want, c.ok)
		}
	}
}

// A fraction of a second of our own clock must not make a date early.
func TestParseWaitRoundsADateUp(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 500_000_000, time.UTC)
	if got, _ := ParseWait("Wed, 04 Mar 2026 12:00:10 GMT", now); got != 10*time.Second {
		t.Errorf("got %v, want 10s", got)
	}
}

func FuzzParseWait(f *testing.F) {
	for _, s := range []string{"46", "1.5", "-1", "1e6", "9223372036854775807", "Fri, 31 Dec 9999 23:59:59 GMT", "", "٣"} {
		f.Add(s, int64(1_772_625_600))
	}
	f.Fuzz(func(t *testing.T, header string, unix int64) {
		now := time.Unix(unix%1e11, 0)
		d, ok := ParseWait(header, now)
		switch {
		case d < 0 || d > longestWait || d%time.Second != 0:
			t.Errorf("%q: %v is out of range", header, d)
		case !ok && d != 0:
			t.Errorf("%q: unreadable, and yet %v", header, d)
		case now.Add(d).Before(now):
			t.Errorf("%q: %v overflows", header, d)
		}
	})
}

// TestOneLongResetIsForgotten: one X-RateLimit-Reset of a day made the window a day, for this run and all later ones.
func TestOneLongResetIsForgotten(t *testing.T) {
	for name, poison := range map[string][]time.Duration{"once": {24 * time.Hour}, "for a minute": {24 * time.Hour, 24 * time.Hour, 24 * time.Hour, 24 * time.Hour}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, start := newTestPacer(t, unknown), time.Now()
				var sent []time.Time
				for n := range 40 {
					c := takeCall(t, p, onlyList)
					sent = append(sent, c.At)
					recent := 0
					for _, at := range sent {
						if c.At.Sub(at) < time.Minute {
							recent++
						}
					}
					reset := time.Minute - c.At.Sub(sent[len(sent)-recent])
					if n >= 2 && n < 2+len(poison) {
						reset = poison[n-2]
					}
					p.Observe(c, Answer{Limit: 10, Remaining: 10 - recent, Reset: reset})
					if kept := kept(t, p)[0]; kept.Window > time.Minute {
						t.Fatalf("request %d: a window of %s is kept", n, kept.Window)
					}
				}
				if took := time.Since(start); took > 6*time.Minute {
					t.Errorf("40 requests took %s", took)
				}
			})
		})
	}
}

// TestALongWindowThatIsAnnouncedTwiceIsBelieved: the end that two answers name is that of a real window.
func TestALongWindowThatIsAnnouncedTwiceIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, unknown), time.Now()
		for n := range 5 {
			c := takeCall(t, p, onlyList)
			p.Observe(c, Answer{Limit: 5, Remaining: 4 - n, Reset: 5*time.Minute - time.Since(start)})
			time.Sleep(4 * time.Second)
		}
		if kept := kept(t, p)[0]; kept.Window != 5*time.Minute {
			t.Errorf("a window of %s is kept", kept.Window)
		}
		if c := takeCall(t, p, onlyList); c.At.Sub(start) < 5*time.Minute {
			t.Errorf("sent after %s", c.At.Sub(start))
		}
	})
}

// TestAnAnnouncementThatIsNotTheEndpointsOwn: one answer with limit headers slowed an endpoint that has none, for ever.
func TestAnAnnouncementThatIsNotTheEndpointsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, unknown), time.Now()
		p.Observe(takeCall(t, p, onlyStream), Answer{Limit: 1, Remaining: 0, Reset: time.Minute})
		for range 20 {
			p.Observe(takeCall(t, p, onlyStream), Answer{Silent: true})
		}
		if took := time.Since(start); took > 5*time.Minute {
			t.Errorf("20 requests took %s", took)
		}
		if kept := kept(t, p)[1]; kept.Limit != 0 {
			t.Errorf("a limit of %d is kept", kept.Limit)
		}
	})
}

// TestALongPauseOfAnEarlierVersionIsCapped: it was read from an epoch, and lasted for years.
func TestALongPauseOfAnEarlierVersionIsCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := startAfter(t, unknown, ledger.Quota{Endpoint: "stream", NotBefore: start.Add(50 * 365 * longestWait), Limit: 10, Window: longestWait})
		if s := p.Status()[1]; s.PausedUntil.Sub(start) != longestWait || s.Known != Unknown {
			t.Errorf("%+v", s)
		}
	})
}
