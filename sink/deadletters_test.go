package sink

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// A dead letter of the maximum size is stored whole.
func TestALargeDeadLetterIsKeptWhole(t *testing.T) {
	b := newBench(t)
	large := reject(`{"x":"`+strings.Repeat("\xff", 1<<20-8)+`"}`, "")
	_, err := b.Commit(t.Context(), batch(b.begin(t, 1), nil, large))
	must(t, err)
	equal(t, "bytes", b.count(t, `select length(raw) from dead_letters where raw = $1`, large.Raw), 1<<20)
}

func TestDeadLettersAreListedInPages(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("x", 1000)
	_, err := b.Commit(t.Context(), batch(b.begin(t, 1), nil, reject("a", "1"), reject("b", ""), reject(long, "")))
	must(t, err)
	first, err := b.DeadLetters(t.Context(), ledger.DeadLetterQuery{JobID: b.job.ID, Limit: 2})
	must(t, err)
	equal(t, "length of the first page", len(first), 2)
	second, err := b.DeadLetters(t.Context(), ledger.DeadLetterQuery{JobID: b.job.ID, Limit: 2, AfterID: first[1].ID})
	must(t, err)
	equal(t, "length of the second page", len(second), 1)
	none, err := b.DeadLetters(t.Context(), ledger.DeadLetterQuery{JobID: b.job.ID, Reason: "conflict"})
	must(t, err)
	equal(t, "another reason", len(none), 0)
	for _, l := range append(first, second...) {
		whole, err := b.DeadLetter(t.Context(), b.job.ID, l.ID)
		must(t, err)
		equal(t, "bytes", int64(len(whole.Raw)), whole.RawBytes)
		equal(t, "beginning", string(whole.Raw[:len(l.Raw)]), string(l.Raw))
		equal(t, "shard", whole.Shard, 1)
		equal(t, "replayed", whole.ReplayedAt.IsZero(), true)
	}
	gone, err := b.DeadLetter(t.Context(), b.job.ID, 4711)
	must(t, err)
	equal(t, "no such letter", gone, nil)
	reasons, err := b.DeadLetterReasons(t.Context(), b.job.ID)
	must(t, err)
	equal(t, "reasons", reasons[0], ReasonCount{"json", 3})
}

// The same malformed bytes are a dead letter of each job that receives them.
func TestEachJobKeepsItsDeadLetters(t *testing.T) {
	b := newBench(t)
	other := b.openAs(t, "another")
	span := shard.Window{Start: shard.Past, End: shard.Future}
	job, err := other.CreateJob(t.Context(), ledger.Job{Name: "another", Source: "a source", Span: span}, []shard.Window{span})
	must(t, err)
	all, err := other.Load(t.Context(), job.ID)
	must(t, err)
	theirs, err := other.Begin(t.Context(), all[0].ID)
	must(t, err)
	for p, from := range map[*Postgres]shard.Checkpoint{b.Postgres: b.begin(t, 1), other: theirs} {
		counts, err := p.Commit(t.Context(), batch(from, nil, reject(`{`, "")))
		must(t, err)
		equal(t, "counts", counts, shard.Counts{Received: 1, DeadLetters: 1})
	}
	equal(t, "dead letters", b.count(t, `select count(*) from dead_letters`), 2)
}

func TestDeadLettersAreKeptOnceByteForByte(t *testing.T) {
	b := newBench(t)
	blind := reject("\x00\xff{broken", "")
	named := reject(`{"id":"x"}`, "x\x00\xff")
	from := b.begin(t, 1)
	counts, err := b.Commit(t.Context(), batch(from, events(0, 3), blind, named, blind))
	must(t, err)
	equal(t, "counts", counts, shard.Counts{Received: 6, Events: 3, DeadLetters: 2, Duplicates: 1})
	from.Seq++
	counts, err = b.Commit(t.Context(), batch(from, nil, named, blind))
	must(t, err)
	equal(t, "counts", counts, shard.Counts{Received: 2, Duplicates: 2})
	equal(t, "known without an id", b.count(t, `select dead_duplicates from ingestion_shards`), 2)
	rows, err := b.pool.Query(t.Context(), `select raw from dead_letters order by raw_bytes`)
	must(t, err)
	raws, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	must(t, err)
	equal(t, "raw", string(raws[0]), string(blind.Raw))
	equal(t, "raw", string(raws[1]), string(named.Raw))
}
