package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/shard"
)

// followed runs a follower in virtual time over the given steps, of which each takes a second, and stops it with a signal after
// a while. It returns the verdict, and when each step began.
func followed(t *testing.T, after time.Duration, steps ...Verdict) (v Verdict, began []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, stop := context.WithCancelCause(t.Context())
		defer time.AfterFunc(after, func() { stop(errors.New("stopped by terminated")) }).Stop()
		f := follower{every: 30 * time.Second, rest: func(Verdict) {}, log: slog.New(slog.DiscardHandler)}
		f.step = func(ctx context.Context) Verdict {
			n := len(began)
			began = append(began, time.Since(start))
			if err := shard.Sleep(ctx, time.Second); err != nil {
				return Verdict{Status: Left, Text: err.Error(), between: true}
			}
			return steps[min(n, len(steps)-1)]
		}
		v = f.run(ctx)
	})
	return v, began
}

var (
	good = Verdict{Status: Complete, Text: "good"}
	away = Verdict{Status: Unreachable, Text: "the API is away"}
)

func TestAFollowerTakesItsRoundsInTime(t *testing.T) {
	t.Parallel()
	v, began := followed(t, 100*time.Second, good)
	if got := fmt.Sprint(began); got != "[0s 30s 1m0s 1m30s]" {
		t.Errorf("rounds began after %s", got)
	}
	if v.Status != Complete || !strings.Contains(v.Text, "between two rounds") {
		t.Errorf("%+v", v)
	}
}

// An hour of an API that is away: nobody gives up, and nobody hammers.
func TestAFollowerWaitsForWhatIsAway(t *testing.T) {
	t.Parallel()
	const tries = 124
	steps := append([]Verdict{good}, slices.Repeat([]Verdict{away}, tries)...)
	v, began := followed(t, 90*time.Minute, append(steps, good)...)
	outage := began[tries+1] - began[1]
	if outage < 55*time.Minute || outage > 65*time.Minute {
		t.Errorf("%d tries in vain took %s", tries, outage)
	}
	if v.Status != Complete || began[len(began)-1]-began[len(began)-2] != 30*time.Second {
		t.Errorf("after the outage: %+v, %v", v, began[len(began)-2:])
	}
}

func TestHowAFollowEnds(t *testing.T) {
	t.Parallel()
	refused := Verdict{Status: Refused, Text: "the key was refused", final: true}
	short := Verdict{Status: Doubt, Text: "too little"}
	cut := Verdict{Status: Left, Text: "3 shards are left"}
	for name, test := range map[string]struct {
		steps  []Verdict
		after  time.Duration
		status Status
	}{
		"stopped while it waits for a round":     {[]Verdict{good}, 10 * time.Second, Complete},
		"stopped while it looks for news":        {[]Verdict{good}, 30*time.Second + 500*time.Millisecond, Complete},
		"stopped while the API is away":          {[]Verdict{away}, 10 * time.Second, Left},
		"stopped while it looks whether it is":   {[]Verdict{away}, 2*time.Second + 500*time.Millisecond, Left},
		"stopped when a round was cut short":     {[]Verdict{cut}, 10 * time.Second, Left},
		"stopped when the last found too little": {[]Verdict{short}, 10 * time.Second, Doubt},
		"the key is refused":                     {[]Verdict{good, refused}, time.Hour, Refused},
		"too little, and then all is well":       {[]Verdict{short, good}, 70 * time.Second, Complete},
		"away, and then all is well, and again":  {[]Verdict{away, good}, 70 * time.Second, Complete},
	} {
		if v, _ := followed(t, test.after, test.steps...); v.Status != test.status {
			t.Errorf("%s: status %s, want %d (%s)", name, v.Status, test.status, v.Text)
		}
	}
}

// The lock is lost while nothing goes on.
func TestAFollowWithoutTheLockEnds(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancelCause(t.Context())
	f := follower{every: time.Hour, log: slog.New(slog.DiscardHandler), step: func(context.Context) Verdict { return good }}
	f.rest = func(Verdict) { stop(fmt.Errorf("%w: %w", ErrLockLost, errors.New("somebody"))) }
	if v := f.run(ctx); v.Status != Locked {
		t.Errorf("status %s, want %d", v.Status, Locked)
	}
}
