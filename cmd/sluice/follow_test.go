package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sluice/shard"
)

// followed runs a follower in virtual time over the given steps, of which each takes a second, and stops it with a signal after
// a while. It returns the verdict, and when each step began.
func followed(t *testing.T, after time.Duration, steps ...verdict) (v verdict, began []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, stop := context.WithCancelCause(t.Context())
		defer time.AfterFunc(after, func() { stop(&errSignal{syscall.SIGTERM}) }).Stop()
		f := follower{every: 30 * time.Second, rest: func(verdict) {}, log: slog.New(slog.DiscardHandler)}
		f.step = func(ctx context.Context) verdict {
			n := len(began)
			began = append(began, time.Since(start))
			if err := shard.Sleep(ctx, time.Second); err != nil {
				return verdict{code: exitLeft, text: err.Error(), between: true}
			}
			return steps[min(n, len(steps)-1)]
		}
		v = f.run(ctx)
	})
	return v, began
}

var (
	good = verdict{text: "good"}
	away = verdict{code: exitUnreachable, text: "the API is away"}
)

func TestAFollowerTakesItsRoundsInTime(t *testing.T) {
	t.Parallel()
	v, began := followed(t, 100*time.Second, good)
	if got := fmt.Sprint(began); got != "[0s 30s 1m0s 1m30s]" {
		t.Errorf("rounds began after %s", got)
	}
	if v.code != exitOK || !strings.Contains(v.text, "between two rounds") {
		t.Errorf("%+v", v)
	}
}

// An hour of an API that is away: nobody gives up, and nobody hammers.
func TestAFollowerWaitsForWhatIsAway(t *testing.T) {
	t.Parallel()
	const tries = 124
	steps := append([]verdict{good}, slices.Repeat([]verdict{away}, tries)...)
	v, began := followed(t, 90*time.Minute, append(steps, good)...)
	outage := began[tries+1] - began[1]
	if outage < 55*time.Minute || outage > 65*time.Minute {
		t.Errorf("%d tries in vain took %s", tries, outage)
	}
	if v.code != exitOK || began[len(began)-1]-began[len(began)-2] != 30*time.Second {
		t.Errorf("after the outage: %+v, %v", v, began[len(began)-2:])
	}
}

func TestHowAFollowEnds(t *testing.T) {
	t.Parallel()
	refused := verdict{code: exitUnreachable, text: "the key was refused", final: true}
	short := verdict{code: exitDoubt, text: "too little"}
	cut := verdict{code: exitLeft, text: "3 shards are left"}
	for name, test := range map[string]struct {
		steps []verdict
		after time.Duration
		code  int
	}{
		"stopped while it waits for a round":    {[]verdict{good}, 10 * time.Second, exitOK},
		"stopped while it looks for news":       {[]verdict{good}, 30*time.Second + 500*time.Millisecond, exitOK},
		"stopped while the API is away":         {[]verdict{away}, 10 * time.Second, exitLeft},
		"stopped while it looks whether it is":  {[]verdict{away}, 2*time.Second + 500*time.Millisecond, exitLeft},
		"stopped when a round was cut short":    {[]verdict{cut}, 10 * time.Second, exitLeft},
		"stopped when the last found too much":  {[]verdict{short}, 10 * time.Second, exitDoubt},
		"the key is refused":                    {[]verdict{good, refused}, time.Hour, exitUnreachable},
		"too little, and then all is well":      {[]verdict{short, good}, 70 * time.Second, exitOK},
		"away, and then all is well, and again": {[]verdict{away, good}, 70 * time.Second, exitOK},
	} {
		if v, _ := followed(t, test.after, test.steps...); v.code != test.code {
			t.Errorf("%s: exit code %d, want %d (%s)", name, v.code, test.code, v.text)
		}
	}
}

// The lock is lost while nothing goes on.
func TestAFollowWithoutTheLockEnds(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancelCause(t.Context())
	f := follower{every: time.Hour, log: slog.New(slog.DiscardHandler), step: func(context.Context) verdict { return good }}
	f.rest = func(verdict) { stop(fmt.Errorf("%w: %w", errLockLost, errors.New("somebody"))) }
	if v := f.run(ctx); v.code != exitLocked {
		t.Errorf("exit code %d, want %d", v.code, exitLocked)
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 8, 13, 45, 7, 9, time.FixedZone("east", 3600))
	for s, want := range map[string]string{
		"-7d": "2026-03-01T00:00:00Z", "-0d": "2026-03-08T00:00:00Z", "-12h": "2026-03-08T00:00:00Z", "-90m": "2026-03-08T11:15:00Z",
	} {
		if at, ok := ago(s, now); !ok || at.Format(time.RFC3339) != want {
			t.Errorf("%s is %s, want %s", s, at.Format(time.RFC3339), want)
		}
	}
	for _, s := range []string{"7d", "-7", "-7w", "-123456d", "--7d", "-7d ", ""} {
		if _, ok := ago(s, now); ok {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestBackfillName(t *testing.T) {
	t.Parallel()
	at := func(s string) shard.Instant {
		parsed, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return shard.InstantOf(parsed)
	}
	for want, w := range map[string]shard.Window{
		"backfill-2026-01-01-2026-02-01":                      {Start: at("2026-01-01T00:00:00Z"), End: at("2026-02-01T00:00:00Z")},
		"backfill-20260101T000001Z-20260101T120000.000007Z":   {Start: at("2026-01-01T00:00:01Z"), End: at("2026-01-01T12:00:00.000007Z")},
		"backfill-20260101T000001.5Z-20260101T235959.999999Z": {Start: at("2026-01-01T00:00:01.5Z"), End: at("2026-01-01T23:59:59.999999Z")},
	} {
		if got := backfillName(w); got != want || len(got) > 63 {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
