package sink

import (
	"errors"
	"reflect"
	"testing"
	"time"

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

// last commits events as all that the only window of the round has.
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
	if r.Counts.Events != 3 || r.Missing != 4 || r.MissedNew != 4 || r.FinishedAt.IsZero() || r.Lookback != time.Millisecond ||
		r.Newest != 9500 || r.APITotal != 7 || r.LateBefore != 5000 {
		t.Errorf("%+v", r)
	}
	r = b.round(t, ledger.Round{LateBefore: 9000, Candidate: 8000})
	b.last(t, 0, nil)
	must(t, b.FinishRound(t.Context(), job.ID, r, 4))
	equal(t, "a watermark goes back", b.reload(t).Watermark, 9000)
	r, err = b.LastRound(t.Context(), job.ID)
	must(t, err)
	equal(t, "missed newly", r.MissedNew, 0)
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

// aged returns events that lie so far behind an instant; 0 is not behind it.
func aged(from int, watermark shard.Instant, ages ...time.Duration) []shard.Event {
	in := events(from, len(ages))
	for i, age := range ages {
		in[i].At = watermark.Add(-age)
	}
	return in
}

var day = 24 * time.Hour

// Straight COPY: all that is stored counts.
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

// Salvage: what is known, in conflict or refused was not stored.
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
update ingestion_shards set received = received + 3, dead_letters = 1, duplicates = 2, dead_duplicates = 2 where job_id = 1 and shard = 1;
update ingestion_shards set received = 11, events = 7, dead_letters = 4 where job_id = 2`)
	must(t, err)
	n, err := b.Accounted(t.Context(), b.job.ID)
	must(t, err)
	equal(t, "accounted for", n, 5+60+1+2+7)
	n, err = b.Accounted(t.Context(), job.ID)
	must(t, err)
	equal(t, "by the other job", n, 60+60+7+4)
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
	equal(t, "stored later", a.Later, 5)
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

// Rows that a later round stored are gone: the window of the first round is walked again, and the law holds.
func TestRowsOfALaterRoundThatAreGone(t *testing.T) {
	b := later(t)
	_, err := b.pool.Exec(t.Context(), `delete from ingested_events where "timestamp" >= '1970-01-01 00:00:00.002Z'`)
	must(t, err)
	v := b.judge(t, 65, 65)
	if want := []ledger.Reopening{{ID: 3, Gone: 15}}; v.OK || !reflect.DeepEqual(v.Reopen, want) {
		t.Fatalf("%+v, want %v", v, want)
	}
	must(t, b.Reopen(t.Context(), v.Reopen))
	equal(t, "events in the ledger", b.count(t, `select sum(events) from ingestion_shards`), 50)
	equal(t, "open windows", b.count(t, `select count(*) from ingestion_shards where state = 'suspect' and round = 1 and shard = 3`), 1)
}
