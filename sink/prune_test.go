package sink

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// rounds takes so many rounds, of two windows each, one of which lies across an edge of the first load's. Each stores an event in
// each of them, finds another one that is known, and meets a malformed record.
func (b *bench) rounds(t *testing.T, n int) {
	t.Helper()
	for range n {
		r, err := b.BeginRound(t.Context(), b.job.ID, ledger.Round{Span: shard.Window{Start: 1500, End: shard.Future}, LateBefore: 2700},
			[]shard.Window{{Start: 1500, End: 2100}, {Start: 2100, End: shard.Future}})
		must(t, err)
		for at, when := range []shard.Instant{1700, 2600} {
			in := events(10_000+10*r.Number+at, 1)
			in[0].At = when
			whole := batch(b.begin(t, at+1), append(in, event(0)), reject(fmt.Sprintf("{%d-%d", r.Number, at), ""), reject("{again", ""))
			whole.Proof, whole.Pages[1][0].At = shard.ProofOlder, 500
			_, err := b.Shards(b.job.ID, r.LateBefore).Commit(t.Context(), whole)
			must(t, err)
		}
		must(t, b.FinishRound(t.Context(), b.job.ID, r, 0))
	}
}

// summed returns all figures that are made of the rows of rounds.
func (b *bench) summed(t *testing.T) []any {
	t.Helper()
	a, err := b.Audit(t.Context(), b.job.ID)
	must(t, err)
	accounted, err := b.Accounted(t.Context(), b.job.ID)
	must(t, err)
	must(t, b.Focus(t.Context(), b.job.ID, 1))
	others, err := b.Earlier(t.Context(), b.job.ID)
	must(t, err)
	return []any{a, accounted, others, b.count(t, `select sum(late_minute + late_ten_minutes + late_hour + late_older) from ingestion_shards`)}
}

// Old rounds are summed up, in a row for each window of the first load and one for those across its edges: no figure changes, a
// dead letter stays with its window, and what is pruned again and again stays as small.
func TestPrunedRoundsAddUpToTheSame(t *testing.T) {
	b := walked(t)
	b.rounds(t, 3)
	_, err := b.pool.Exec(t.Context(), `
update ingestion_shards s set parent_id = p.id from ingestion_shards p where s.round > 1 and s.shard = 2 and p.round = s.round and p.shard = 1`)
	must(t, err)
	before := b.summed(t)
	for range 2 {
		must(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return prune(t.Context(), tx, b.job.ID, 3+keptRounds) }))
	}
	if after := b.summed(t); !reflect.DeepEqual(after, before) {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	equal(t, "rows of the first two", b.count(t, `select count(*) from ingestion_shards where round in (2, 3)`), 2)
	equal(t, "rows of the last", b.count(t, `select count(*) from ingestion_shards where round = 4`), 2)
	equal(t, "windows whose letters are elsewhere", b.count(t, `
select count(*) from ingestion_shards s where dead_letters <> (select count(*) from dead_letters d where d.shard_id = s.id)`), 0)
}

// A round that is finished prunes those that are long over, and no other.
func TestAFinishedRoundPrunes(t *testing.T) {
	b := walked(t)
	b.rounds(t, 4)
	_, err := b.pool.Exec(t.Context(), fmt.Sprintf(`
update ingestion_rounds set round = round + %[1]d where round = 5; update ingestion_shards set round = round + %[1]d where round = 5`, keptRounds-3))
	must(t, err)
	b.rounds(t, 1) // 3 + keptRounds
	for round, rows := range map[int]int64{1: 3, 2: 2, 3: 0, 4: 2, 2 + keptRounds: 2, 3 + keptRounds: 2} {
		equal(t, fmt.Sprintf("rows of round %d", round), b.count(t, `select count(*) from ingestion_shards where round = $1`, round), rows)
	}
	equal(t, "rounds", b.count(t, `select count(*) from ingestion_rounds`), 6)
}
