package view

import (
	"testing"
	"time"
)

func TestNumberPutsThousandsApart(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 3000000: "3,000,000", -12345: "-12,345"} {
		if got := Number(n); got != want {
			t.Errorf("Number(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestPercentIsWholeOnlyAtTheEnd(t *testing.T) {
	for share, want := range map[float64]string{0: "0.0%", 0.5: "50.0%", 0.99999: "99.9%", 1: "100%", -1: "0.0%"} {
		if got := Percent(share); got != want {
			t.Errorf("Percent(%g) = %q, want %q", share, got, want)
		}
	}
}

func TestShortIsHowPeopleSayIt(t *testing.T) {
	for d, want := range map[time.Duration]string{
		12300 * time.Millisecond: "12.3s", 9*time.Minute + 46*time.Second: "9m 46s", 62 * time.Minute: "1h 02m",
		71*time.Hour + time.Minute: "71h 01m", 76*time.Hour + 59*time.Minute: "3d 04h",
	} {
		if got := Short(d); got != want {
			t.Errorf("Short(%s) = %q, want %q", d, got, want)
		}
	}
}
