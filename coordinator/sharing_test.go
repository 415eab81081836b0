package coordinator_test

import (
	"testing"
	"time"

	"sluice/shard"
)

// lopsided makes the job one of two windows and two fetchers: three pages are in the newer one, thirty in the older.
func (j *job) lopsided() {
	const page = 30
	older, newer := shard.Instant(30*page)*beat, shard.Instant(33*page)*beat
	j.source = &history{Events: 34 * page, Page: page, Latency: time.Second}
	j.store = newLedger([]shard.Window{{Start: 0, End: older}, {Start: older, End: newer}})
	j.source.Answer = func(r request) error {
		if r.place.End == older {
			time.Sleep(300 * time.Millisecond) // so that no two things happen at the same time
		}
		return nil
	}
	j.config.Fetchers = 2
}

// A piece is cut off with the next page of its window. So it is requested while the fetcher still waits for its own last page, and
// the fetcher continues without a break.
func TestAPieceIsThereBeforeItsFetcherIsIdle(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.lopsided()
		j.wantOutcome(j.run(j.Context()), len(j.store.shards), 0, 0)
		j.wantRows(33 * 30)
		if len(j.store.shards) < 3 {
			j.Fatalf("%d shards: nothing was split", len(j.store.shards))
		}
		var through time.Time
		for _, c := range j.store.commits {
			if c.shard == 2 {
				through = c.at
			}
		}
		if began := j.store.tries(3); len(began) != 1 || !began[0].Equal(through) {
			j.Errorf("the fetcher was done at %s, and began the piece at %s", through, began)
		}
	})
}

// While fetchers wait for quota, another fetcher gains nothing, and a split costs a page.
func TestNothingIsSplitWhileTheQuotaIsWaitedFor(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.lopsided()
		j.source.Scarce, j.store.Latency = true, time.Millisecond
		j.wantOutcome(j.run(j.Context()), 2, 0, 0)
		j.wantRows(33 * 30)
	})
}
