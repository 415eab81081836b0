package quota

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
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
		{fmt.Sprint(float64(now.Unix()) + 29.5), 30 * time.Second, true},
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
