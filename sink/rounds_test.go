package sink

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/audit"
)

// round begins the next round of the bench's job, with one window from an instant on.
func (b *bench) round(t *testing.T, r ledger.Round) *ledger.Round {
	t.Helper()
	if r.Span == (shard.Window{}) {
		r.Span = shard.Window{Start: 1000, End: shard.Future}
	}
	begun, err := b.BeginRound(t.Context(), b.job.ID, r, []shard.Window{r.Span})
	must(t, err)
	return begun
}

// reload returns the job as it is now.
func (b *bench) reload(t *testing.T) *ledger.Job {
	t.Helper()
	job, _, err := b.Postgres.Job(t.Context(), b.job.Name)
	must(t, err)
	return job
}

// last commits events as the last batch of the round's only window.
func (b *bench) last(t *testing.T, watermark shard.Instant, in []shard.Event) shard.Counts {
	t.Helper()
	whole := batch(b.begin(t, 1), in)
	whole.Proof = shard.ProofOlder
	counts, err := b.Shards(b.job.ID, watermark).Commit(t.Context(), whole)
	must(t, err)
	return counts
}

func TestTheFirstLoadIsRoundOne(t *testing.T) {
	b := newBench(t)
	r, err := b.LastRound(t.Context(), b.job.ID)
	must(t, err)
	if r.Number != 1 || !r.FinishedAt.IsZero() || b.reload(t).Watermark != 0 {
		t.Errorf("%+v", r)
	}
}

// The watermark moves with the verdict on the first load, once, and then with each round that is finished.
func TestTheWatermarkMovesWhenARoundIsFinished(t *testing.T) {
	b := newBench(t)
	span := shard.Window{Start: shard.Past, End: shard.Future}
	job, err := b.CreateJob(t.Context(), ledger.Job{Name: "second", Source: "s", Span: span, Candidate: 5000}, []shard.Window{span})
	must(t, err)
	b.job = job
	equal(t, "watermark at first", b.reload(t).Watermark, 0)
	must(t, b.SetVerdict(t.Context(), job.ID, "short", false))
	equal(t, "watermark of a load in doubt", b.reload(t).Watermark, 0)
	must(t, b.SetVerdict(t.Context(), job.ID, "good", true))
	equal(t, "watermark of a verified load", b.reload(t).Watermark, 5000)

	r := b.round(t, ledger.Round{LateBefore: 5000, Candidate: 9000, Lookback: time.Millisecond, APITotal: 7, Newest: 9500})
	equal(t, "number", r.Number, 2)
	equal(t, "round that is worked on", b.reload(t).Round, 2)
	if err := b.FinishRound(t.Context(), job.ID, r, 0); !errors.Is(err, ledger.ErrRoundOpen) {
		t.Errorf("an open round was finished: %v", err)
	}
	equal(t, "watermark in the round", b.reload(t).Watermark, 5000)
	b.last(t, r.LateBefore, events(0, 3))
	must(t, b.FinishRound(t.Context(), job.ID, r, 4))
	equal(t, "watermark after the round", b.reload(t).Watermark, 9000)
	must(t, b.SetVerdict(t.Context(), job.ID, "verified again", true))
	equal(t, "watermark after another verdict on the first load", b.reload(t).Watermark, 9000)

	r, err = b.LastRound(t.Context(), job.ID)
	must(t, err)
	if r.Counts.Events != 3 || r.Missing != 4 || r.FinishedAt.IsZero() || r.Lookback != time.Millisecond ||
		r.Newest != 9500 || r.APITotal != 7 || r.LateBefore != 5000 {
		t.Errorf("%+v", r)
	}
	r = b.round(t, ledger.Round{LateBefore: 9000, Candidate: 8000})
	b.last(t, 0, nil)
	must(t, b.FinishRound(t.Context(), job.ID, r, 4))
	equal(t, "a watermark goes back", b.reload(t).Watermark, 9000)
	r, err = b.LastRound(t.Context(), job.ID)
	must(t, err)
}

// Focus shows another round's shards, and the newest round stays the newest.
func TestFocus(t *testing.T) {
	b := newBench(t, threeWindows...)
	b.round(t, ledger.Round{})
	for round, shards := range map[int]int{1: 3, 2: 1} {
		must(t, b.Focus(t.Context(), b.job.ID, round))
		all, err := b.Load(t.Context(), b.job.ID)
		must(t, err)
		equal(t, "shards", len(all), shards)
	}
	must(t, b.Focus(t.Context(), b.job.ID, 1))
	equal(t, "the round after", b.round(t, ledger.Round{}).Number, 3)
}

// aged returns events of these ages before an instant; one of age 0 is not before it.
func aged(from int, watermark shard.Instant, ages ...time.Duration) []shard.Event {
	in := events(from, len(ages))
	for i, age := range ages {
		in[i].At = watermark.Add(-age)
	}
	return in
}

var day = 24 * time.Hour

// Plain COPY: every stored event counts.
func TestLateEventsAreCountedByAge(t *testing.T) {
	b := newBench(t)
	const watermark = 1_769_000_000_000_000
	b.last(t, watermark, aged(0, watermark, 0, -time.Second, time.Microsecond, time.Minute, time.Minute+1000, time.Hour, 2*day, 3*day))
	r, err := b.LastRound(t.Context(), b.job.ID)
	must(t, err)
	if want := (ledger.Late{Minute: 2, TenMinutes: 1, Hour: 1, Older: 2, Most: 3 * day}); r.Late != want {
		t.Errorf("got %+v, want %+v", r.Late, want)
	}
}

// Salvage: known, conflicting and refused events were not stored.
func TestLateEventsThatAreKnownAreNotCounted(t *testing.T) {
	b := newBench(t)
	_, err := b.pool.Exec(t.Context(), `alter table ingested_events add check (name <> 'refused')`)
	must(t, err)
	const watermark = 1_769_000_000_000_000
	first := aged(0, watermark, 5*time.Minute, 5*time.Minute)
	from := b.begin(t, 1)
	_, err = b.Commit(t.Context(), batch(from, first))
	must(t, err)
	second := aged(0, watermark, 5*time.Minute, 5*time.Minute, 2*time.Hour, time.Second, time.Second)
	second[1].Name = "other content"
	second[2].Name = "refused"
	second[3].Name = "zero\x00byte"
	counts := b.last(t, watermark, second)
	equal(t, "counts", counts, shard.Counts{Received: 5, Events: 1, Duplicates: 1, DeadLetters: 3})
	r, err := b.LastRound(t.Context(), b.job.ID)
	must(t, err)
	if want := (ledger.Late{Minute: 1, Most: time.Second}); r.Late != want {
		t.Errorf("got %+v, want %+v", r.Late, want)
	}
}

func TestAccounted(t *testing.T) {
	b := walked(t)
	other := b.openAs(t, "another")
	span := shard.Window{Start: shard.Past, End: shard.Future}
	job, err := other.CreateJob(t.Context(), ledger.Job{Name: "another", Source: "s", Span: span}, []shard.Window{span})
	must(t, err)
	_, err = b.pool.Exec(t.Context(), `update ingestion_jobs set rows_before = 5 where name = 'test';
update ingestion_rounds set rows_before = rows_before + 5;
update ingestion_shards set received = received + 3, dead_letters = 1, duplicates = 2, dead_duplicates = 2 where job_id = 1 and shard = 1;
update ingestion_shards set received = 11, events = 7, dead_letters = 4 where job_id = 2`)
	must(t, err)
	n, err := b.Accounted(t.Context(), b.job.ID)
	must(t, err)
	equal(t, "accounted for", n, 5+60+1+2+2) // of the other's 7 as many as were read here, too
	n, err = b.Accounted(t.Context(), job.ID)
	must(t, err)
	equal(t, "by the other job", n, 5+60+7+4)
}

// later is walked with a second round that stored 5 events in the newest window of the first.
func later(t *testing.T) *bench {
	t.Helper()
	b := walked(t)
	r := b.round(t, ledger.Round{Span: shard.Window{Start: 2000, End: shard.Future}})
	in := events(9000, 5)
	for i := range in {
		in[i].At = 2600
	}
	b.last(t, 2500, in)
	must(t, b.FinishRound(t.Context(), b.job.ID, r, 0))
	return b
}

func TestAnAuditUnderstandsAllRounds(t *testing.T) {
	b := later(t)
	a, err := b.Audit(t.Context(), b.job.ID)
	must(t, err)
	equal(t, "windows", len(a.Windows), 3)
	equal(t, "windows of later rounds", len(a.Later), 1)
	v := audit.Judge(a, 65, 65)
	if !v.OK || len(v.NotApplied) > 0 {
		t.Errorf("%+v", v)
	}
	b.round(t, ledger.Round{})
	v = b.judge(t, 65, 65)
	if !v.OK || len(v.NotApplied) != 1 {
		t.Errorf("a round under way: %+v", v)
	}
}

// Rows that a later round stored are gone: the window of the first round is walked again, and the counts add up.
func TestRowsOfALaterRoundThatAreGone(t *testing.T) {
	b := later(t)
	_, err := b.pool.Exec(t.Context(), `delete from ingested_events where "timestamp" >= '1970-01-01 00:00:00.002Z'`)
	must(t, err)
	v := b.judge(t, 65, 65)
	if want := []int64{3}; v.OK || !reflect.DeepEqual(v.Reopen, want) {
		t.Fatalf("%+v, want %v", v, want)
	}
	b.reopen(t, v.Reopen...)
	equal(t, "events in the ledger", b.count(t, `select sum(events) from ingestion_shards`), 50)
	equal(t, "open windows", b.count(t, `select count(*) from ingestion_shards where state = 'suspect' and round = 1 and shard = 3`), 1)
}

// TestRoundsAreListed: newest first, each with its counts and the requests of all runs.
func TestRoundsAreListed(t *testing.T) {
	b := newBench(t)
	b.last(t, 0, events(0, 10))
	must(t, b.NoteRequests(t.Context(), b.job.ID, 1, 3))
	must(t, b.NoteRequests(t.Context(), b.job.ID, 1, 4))
	b.round(t, ledger.Round{Newest: 9000})
	b.last(t, 0, events(20, 5))
	must(t, b.NoteRequests(t.Context(), b.job.ID, 2, 1))
	s, err := b.Status(t.Context(), b.job.Name)
	must(t, err)
	if len(s.Rounds) != 2 || s.Rounds[0].Number != 2 || s.Rounds[1].Number != 1 {
		t.Fatalf("%d rounds", len(s.Rounds))
	}
	for i, want := range []struct{ events, requests int64 }{{5, 1}, {10, 7}} {
		equal(t, "events", s.Rounds[i].Counts.Events, want.events)
		equal(t, "requests", s.Rounds[i].Requests, want.requests)
	}
}

// rounds makes n rounds of two windows each, one of which lies across an edge of the first load's. Each window stores an event, and
// receives a known one and a malformed record.
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

// summed returns all figures that are computed from the rows of rounds.
func (b *bench) summed(t *testing.T) []any {
	t.Helper()
	a, err := b.Audit(t.Context(), b.job.ID)
	must(t, err)
	accounted, err := b.Accounted(t.Context(), b.job.ID)
	must(t, err)
	var later shard.Counts
	for i := range a.Later {
		later = later.Add(a.Later[i].Counts)
	}
	a.Later = nil
	must(t, b.Focus(t.Context(), b.job.ID, 1))
	others, err := b.Earlier(t.Context(), b.job.ID)
	must(t, err)
	return []any{a, later, accounted, others, b.count(t, `select sum(late_minute + late_ten_minutes + late_hour + late_older) from ingestion_shards`)}
}

// Old rounds are summed up, in a row for each window of the first load and one for those across its edges: no figure changes, a
// dead letter stays with its window, and repeated pruning keeps the number of rows small.
func TestPrunedRoundsAddUpToTheSame(t *testing.T) {
	b := walked(t)
	b.rounds(t, 3)
	_, err := b.pool.Exec(t.Context(), fmt.Sprintf(`
update ingestion_shards s set parent_id = p.id from ingestion_shards p where s.round > 1 and s.shard = 2 and p.round = s.round and p.shard = 1;
update ingestion_rounds set round = round + %[1]d where round = 4; update ingestion_shards set round = round + %[1]d where round = 4`, keptRounds-1))
	must(t, err)
	before := b.summed(t)
	for range 2 {
		must(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return prune(t.Context(), tx, b.job.ID, 3+keptRounds) }))
	}
	if after := b.summed(t); !reflect.DeepEqual(after, before) {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	equal(t, "rows of the first two", b.count(t, `select count(*) from ingestion_shards where round in (2, 3)`), 2)
	equal(t, "rows of the last", b.count(t, `select count(*) from ingestion_shards where round = $1`, 3+keptRounds), 2)
	equal(t, "windows whose letters are elsewhere", b.count(t, `
select count(*) from ingestion_shards s where dead_letters <> (select count(*) from dead_letters d where d.shard_id = s.id)`), 0)
}

// The privileges of docs/least-privilege.md are enough to prune: once, a follow without them failed for ever after its first hour.
func TestARoleWithThePrivilegesOfARunPrunes(t *testing.T) {
	b := walked(t)
	b.rounds(t, 3)
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `
create role prunes; grant select, insert, update on all tables in schema public to prunes; grant delete on ingestion_shards to prunes;
set local role prunes`)
		must(t, err)
		must(t, prune(t.Context(), tx, b.job.ID, 3+keptRounds))
		return errDryRun
	})
	if !errors.Is(err, errDryRun) {
		t.Error(err)
	}
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
