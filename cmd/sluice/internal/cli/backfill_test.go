package cli

import (
	"testing"
	"time"

	"sluice/shard"
)

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
