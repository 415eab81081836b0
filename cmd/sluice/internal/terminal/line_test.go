package terminal

import (
	"strings"
	"testing"
	"time"
)

// TestAPauseIsToldFirst: a pause and the command to resume take the place of the rate and the time left.
func TestAPauseIsToldFirst(t *testing.T) {
	v := shown(50_000)
	v.At = time.Unix(1000, 0)
	since := v.At.Add(-12 * time.Second)
	v.Limit, v.Paused, v.GoOn = "you paused it", &since, "kill -USR1 42"
	const want = "50,000 of 100,000 events (50.0%), paused by you for 12.0s (kill -USR1 42 resumes), 1/3 shards, 1 failed, list 10 of 10 in 6s"
	if line := line(&v); !strings.HasPrefix(line, want) {
		t.Errorf("the line is\n%s\nwant\n%s…", line, want)
	}
}
