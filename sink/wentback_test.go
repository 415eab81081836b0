package sink

import (
	"errors"
	"testing"

	"sluice/shard"
)

// Rows that a failover to a standby has lost are counted once, however it is noticed: by the next commit, by the next attempt, or by
// the ledger after the last shard.
func TestRowsThatWentBackAreCounted(t *testing.T) {
	for name, notice := range map[string]func(*testing.T, *bench, shard.Checkpoint){
		"by a commit": func(t *testing.T, b *bench, from shard.Checkpoint) {
			if _, err := b.Commit(t.Context(), batch(from, events(30, 10))); !errors.Is(err, shard.ErrStale) {
				t.Errorf("got %v", err)
			}
		},
		"by an attempt": func(t *testing.T, b *bench, _ shard.Checkpoint) { b.begin(t, 1) },
		"by the ledger": func(t *testing.T, b *bench, _ shard.Checkpoint) { b.shard(t, 1) },
		"a piece is lost": func(t *testing.T, b *bench, from shard.Checkpoint) {
			_, err := b.pool.Exec(t.Context(), `truncate ingestion_shards cascade`)
			must(t, err)
			if _, err := b.Commit(t.Context(), batch(from, events(30, 10))); !errors.Is(err, shard.ErrStale) {
				t.Errorf("got %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			hold(t, b.Postgres)
			from := b.begin(t, 1)
			for i := range 3 {
				_, err := b.Commit(t.Context(), batch(from, events(10*i, 10)))
				must(t, err)
				from.Seq++
			}
			equal(t, "rows that went back before", b.WentBack(), 0)
			want := int64(20)
			if name == "a piece is lost" {
				want = 30
			} else {
				_, err := b.pool.Exec(t.Context(), `update ingestion_shards set seq = 1, events = 10, received = 10`)
				must(t, err)
			}
			notice(t, b, from)
			equal(t, "rows that went back", b.WentBack(), want)
			_, err := b.Load(t.Context(), b.job.ID)
			must(t, err)
			equal(t, "rows that went back, looked at again", b.WentBack(), want)
		})
	}
}
