package quota

import (
	"testing"
	"time"
)

func TestParseLimit(t *testing.T) {
	for _, c := range []struct {
		text string
		want Limit
	}{
		{"50/60s", Limit{50, time.Minute}},
		{"50/60", Limit{50, time.Minute}},
		{"200/5m", Limit{200, 5 * time.Minute}},
		{"10/1.5s", Limit{10, 1500 * time.Millisecond}},
		{"none", Limit{N: Unlimited}},
		{"auto", Limit{}},
		{"", Limit{}},
	} {
		if got, err := ParseLimit(c.text); got != c.want || err != nil {
			t.Errorf("ParseLimit(%q) = %v, %v, want %v", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{
		"50", "50/", "/60s", "0/60s", "-1/60s", "50/0s", "50/-60s", "50/1ms", "50/48h", "x/60s", "50/x", "50/60s/2",
		"99999999999999999999/1s",
	} {
		if got, err := ParseLimit(text); err == nil {
			t.Errorf("ParseLimit(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseLimit(f *testing.F) {
	for _, s := range []string{"50/60s", "10/1.5s", "none", "auto", "200/5m", "1/1h0.1s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLimit(text)
		if err != nil {
			return
		}
		if again, err := ParseLimit(l.String()); again != l || err != nil {
			t.Errorf("%q reads as %s, which reads as %v, %v", text, l, again, err)
		}
	})
}
