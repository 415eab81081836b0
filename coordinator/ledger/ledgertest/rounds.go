package ledgertest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// loaded is a job whose first load is verified: 5 events in the older window, 10 in the newer one.
func (r *run) loaded() {
	r.t.Helper()
	r.create()
	r.finish(1, events(-5, 5))
	r.finish(2, events(0, 10))
	r.must(r.SetVerdict(r.t.Context(), r.job.ID, "complete", true))
}

// next begins a round of one window.
func (r *run) next(round ledger.Round, window shard.Window) *ledger.Round {
	r.t.Helper()
	round.Span = window
	begun, err := r.BeginRound(r.t.Context(), r.job.ID, round, []shard.Window{window})
	r.must(err)
	return begun
}

func (r *run) last() *ledger.Round {
	r.t.Helper()
	round, err := r.LastRound(r.t.Context(), r.job.ID)
	r.must(err)
	return round
}

var newest = shard.Window{Start: border + 5000, End: shard.Future}

// A round is the current one until the next; when it is finished the watermark moves to its candidate, and never back.
func testRounds(t *testing.T, r *run) {
	r.loaded()
	first := r.last()
	if first.Number != 1 || first.Candidate != border || first.Newest != border+5000 || !first.Finished() || first.Counts != (shard.Counts{Received: 15, Events: 15}) {
		t.Errorf("the first load: %+v", first)
	}
	in := ledger.Round{LateBefore: border, Lookback: 90 * time.Minute, Candidate: border + 9000, Newest: border + 12_000, APITotal: 17}
	second := r.next(in, newest)
	in.Number, in.Span, in.StartedAt, in.RowsBefore = 2, newest, second.StartedAt, 15
	equal(t, "second round", *second, in)
	equal(t, "current round", r.reload().Round, 2)
	equal(t, "its window", r.shard(1).Window, newest)
	earlier, err := r.Earlier(t.Context(), r.job.ID)
	r.must(err)
	equal(t, "earlier", earlier, shard.Counts{Received: 15, Events: 15})

	r.finish(1, events(9, 3))
	r.must(r.NoteRequests(t.Context(), r.job.ID, 2, 3))
	r.must(r.NoteRequests(t.Context(), r.job.ID, 2, 4))
	r.must(r.FinishRound(t.Context(), r.job.ID, second, 2))
	done := r.last()
	if !done.Finished() || done.Requests != 7 || done.Missing != 2 || done.Counts != (shard.Counts{Received: 3, Events: 2, Duplicates: 1}) {
		t.Errorf("finished: %+v", done)
	}
	j := r.reload()
	equal(t, "watermark", j.Watermark, border+9000)
	equal(t, "total of the source", j.APITotal, 17)

	third := r.next(ledger.Round{Candidate: border + 1}, newest)
	r.finish(1, nil)
	r.must(r.FinishRound(t.Context(), r.job.ID, third, 3))
	equal(t, "watermark after an older candidate", r.reload().Watermark, border+9000)
}

// A round with an open window can't be finished, and the watermark stays.
func testOpenRound(t *testing.T, r *run) {
	r.loaded()
	second := r.next(ledger.Round{Candidate: border + 9000}, newest)
	if err := r.FinishRound(t.Context(), r.job.ID, second, 0); !errors.Is(err, ledger.ErrRoundOpen) {
		t.Errorf("got %v, want ErrRoundOpen", err)
	}
	equal(t, "watermark", r.reload().Watermark, border)
	if r.last().Finished() {
		t.Error("the round is finished")
	}
}

// Focus makes another round the current one, and the next round still has the next number.
func testFocus(t *testing.T, r *run) {
	r.loaded()
	second := r.next(ledger.Round{}, newest)
	r.finish(1, events(9, 3))
	r.must(r.FinishRound(t.Context(), r.job.ID, second, 0))
	r.must(r.Focus(t.Context(), r.job.ID, 1))
	equal(t, "current round", r.reload().Round, 1)
	equal(t, "its window", r.shard(1).Window, windows[0])
	earlier, err := r.Earlier(t.Context(), r.job.ID)
	r.must(err)
	equal(t, "the other rounds", earlier, shard.Counts{Received: 3, Events: 2, Duplicates: 1})
	equal(t, "last round", r.last().Number, 2)
	equal(t, "next round", r.next(ledger.Round{}, newest).Number, 3)
}

// Events before the watermark that a round stores are late; known ones are not.
func testLateEvents(t *testing.T, r *run) {
	r.loaded()
	const watermark = border + 2*3600*1_000_000
	r.next(ledger.Round{LateBefore: watermark}, windows[1])
	in := events(100, 6)
	for i, age := range []time.Duration{time.Minute, time.Minute + 1000, 10 * time.Minute, time.Hour, time.Hour + time.Second, -time.Second} {
		in[i].At = watermark - shard.Instant(age.Microseconds())
	}
	in = append(in, event(3)) // stored by the first load
	b := batch(r.begin(1), in)
	_, err := r.Shards(r.job.ID, watermark).Commit(t.Context(), b)
	r.must(err)
	equal(t, "late", r.last().Late, ledger.Late{Minute: 1, TenMinutes: 2, Hour: 1, Older: 1, Most: time.Hour + time.Second})
}

// Accounted adds up rows from before the job, events, dead letters, and rejects without an id that came again. (Rows of other jobs:
// TestAccounted of package sink, and the simulation of package job.)
func testAccounted(t *testing.T, r *run) {
	r.Store = r.database.Open(t)
	r.must(r.Migrate(t.Context()))
	r.database.Insert(t, events(500, 3)...)
	r.create()
	r.commit(batch(r.begin(2), events(0, 10), reject("1", "id"), reject("2", "")))
	r.commit(batch(r.shard(2), events(0, 1), reject("1", "id"), reject("2", "")))
	n, err := r.Accounted(t.Context(), r.job.ID)
	r.must(err)
	equal(t, "accounted for", n, 3+10+2+1)
}

// An audit counts the rows of every window, whoever wrote them, beside what the ledger says.
func testAudit(t *testing.T, r *run) {
	r.Store = r.database.Open(t)
	r.must(r.Migrate(t.Context()))
	r.database.Insert(t, events(500, 3)...)
	r.create()
	r.finish(1, events(-5, 5))
	r.commit(batch(r.begin(2), events(0, 10)))
	a := r.audit()
	equal(t, "rows", a.Rows, 18)
	equal(t, "rows before", a.RowsBefore, 3)
	equal(t, "by others", a.ByOthers, 0)
	equal(t, "span", a.Span, ledger.Everything)
	if len(a.Windows) != 2 {
		t.Fatalf("%d windows", len(a.Windows))
	}
	for n, rows := range []int64{5, 13} {
		w := a.Windows[n]
		if w.Checkpoint != r.shard(n+1) || w.Rows != rows || w.Expected != nil {
			t.Errorf("window %d: %+v, want %d rows", n, w, rows)
		}
	}
}

// An audit has the windows of later rounds beside those of round 1.
func testAuditLater(t *testing.T, r *run) {
	r.loaded()
	r.next(ledger.Round{}, newest)
	r.finish(1, events(20, 4))
	second := r.shard(1)
	r.next(ledger.Round{}, shard.Window{Start: border - 1_000_000, End: shard.Future})
	r.commit(batch(r.begin(1), events(30, 2)))
	a := r.audit()
	if want := []shard.Checkpoint{second, r.shard(1)}; !slices.Equal(a.Later, want) {
		t.Errorf("later %+v, want %+v", a.Later, want)
	}
	equal(t, "windows", len(a.Windows), 2)
	equal(t, "rows of the newer window", a.Windows[1].Rows, 16)
}

func testAuditByDay(t *testing.T, r *run) {
	r.create()
	r.finish(1, events(-5, 5))
	next := events(10, 2)
	for i := range next {
		next[i].At += 24 * 3600 * 1_000_000
	}
	r.finish(2, append(events(0, 3), next...))
	a, err := r.AuditByDay(t.Context(), r.job.ID)
	r.must(err)
	day := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	want := []ledger.AuditDay{
		{Day: day(26), Rows: 5, Shards: []ledger.DayOfShard{{Shard: 1, Rows: 5}}},
		{Day: day(27), Rows: 3, Shards: []ledger.DayOfShard{{Shard: 2, Rows: 3}}},
		{Day: day(28), Rows: 2, Shards: []ledger.DayOfShard{{Shard: 2, Rows: 2}}},
	}
	if have := fmt.Sprint(a.Days); have != fmt.Sprint(want) {
		t.Errorf("days %s, want %v", have, want)
	}
	equal(t, "rows", a.Rows, 10)
}

// reopen opens a window of the first round, which counts so many events from then on, and had so many once.
func (r *run) reopen(c shard.Checkpoint, events int64, expected ...int64) {
	r.t.Helper()
	change := ledger.Reopened{ID: c.ID, Events: events, Walk: true}
	if len(expected) > 0 {
		change.Expected = &expected[0]
	}
	r.must(r.Reopen(r.t.Context(), r.job.ID, func(a ledger.Audit) ledger.Reopening {
		return ledger.Reopening{Shards: []ledger.Reopened{change}, RowsBefore: a.RowsBefore}
	}))
}

// A window is reopened with the rows that the table has, stores the others a second time, and keeps what it had.
func testVanishedRows(t *testing.T, r *run) {
	r.loaded()
	r.database.Delete(t, events(2, 3)...)
	before := r.shard(2)
	r.must(r.Reopen(t.Context(), r.job.ID, func(a ledger.Audit) ledger.Reopening {
		equal(t, "rows", a.Windows[1].Rows, 7)
		equal(t, "events", a.Windows[1].Counts.Events, 10)
		expected := int64(10)
		return ledger.Reopening{Shards: []ledger.Reopened{{ID: before.ID, Events: 7, Expected: &expected, Walk: true}}}
	}))
	c := r.shard(2)
	if c.State == shard.Done || c.Proof != "" || c.Cursor != "" || !c.Resume.IsZero() || c.Seq <= before.Seq || c.Counts != (shard.Counts{Received: 7, Events: 7}) {
		t.Errorf("reopened: %+v", c)
	}
	equal(t, "the other shard", r.shard(1).State, shard.Done)
	equal(t, "counts", r.finish(2, events(0, 10)), shard.Counts{Received: 10, Events: 3, Duplicates: 7})
	r.stored(events(-5, 15))
	equal(t, "sum", r.shard(2).Counts, shard.Counts{Received: 17, Events: 10, Duplicates: 7})
	r.reopen(r.shard(2), 10)
	if e := r.audit().Windows[1].Expected; e == nil || *e != 10 {
		t.Errorf("expected %v after the window was opened for another reason, want 10", e)
	}
}

// A reopening changes the counts of later rounds, and of the rows from before the job; their windows stay done.
func testRecountedLater(t *testing.T, r *run) {
	r.Store = r.database.Open(t)
	r.must(r.Migrate(t.Context()))
	r.database.Insert(t, events(500, 3)...)
	r.loaded()
	r.next(ledger.Round{}, newest)
	r.finish(1, events(20, 4))
	later := r.shard(1)
	r.must(r.Reopen(t.Context(), r.job.ID, func(a ledger.Audit) ledger.Reopening {
		equal(t, "rows before", a.RowsBefore, 3)
		return ledger.Reopening{Shards: []ledger.Reopened{{ID: later.ID, Events: 1}}, RowsBefore: 2}
	}))
	equal(t, "the later shard", r.shard(1).Counts, shard.Counts{Received: 1, Events: 1})
	equal(t, "its state", r.shard(1).State, shard.Done)
	equal(t, "rows before", r.audit().RowsBefore, 2)
}

// A shard that the ledger has lost is a gap in the audit, with the rows that lie in it; a reopening fills it with one to walk.
func testLostShards(t *testing.T, r *run) {
	r.loaded()
	r.database.DeleteShard(t, r.shard(2).ID)
	a := r.audit()
	if len(a.Windows) != 2 || a.Gap(a.Windows[1].ID) == nil || a.Windows[1].Window != windows[1] || a.Windows[1].Rows != 10 {
		t.Fatalf("the newer one is gone: %+v", a.Windows)
	}
	expected := int64(11)
	r.fill(ledger.Filled{Gap: *a.Gap(a.Windows[1].ID), Events: 10, Expected: &expected})
	c := r.shard(2)
	if c.State != shard.Suspect || c.Shard != 2 || c.Window != windows[1] || c.Counts != (shard.Counts{Received: 10, Events: 10}) || c.Reopened != 1 {
		t.Errorf("filled: %+v", c)
	}
	if a = r.audit(); a.HasGaps() || a.Windows[1].Expected == nil || *a.Windows[1].Expected != 11 {
		t.Errorf("after that: %+v", a)
	}
	equal(t, "walked again", r.finish(2, events(0, 10)), shard.Counts{Received: 10, Duplicates: 10})
	r.database.DeleteShard(t, r.shard(2).ID)
	r.database.DeleteShard(t, r.shard(1).ID)
	if a = r.audit(); len(a.Windows) != 1 || a.Windows[0].Window != ledger.Everything || a.Windows[0].Rows != 15 {
		t.Errorf("all are gone: %+v", a.Windows)
	}
	r.fill(ledger.Filled{Gap: *a.Gap(a.Windows[0].ID), Events: 15})
	equal(t, "walked once more", r.finish(1, events(-5, 15)), shard.Counts{Received: 15, Duplicates: 15})
}

// So are those of later rounds. If the round is finished, nothing is left to walk in it.
func testLostShardsOfRounds(t *testing.T, r *run) {
	r.loaded()
	for _, finished := range []bool{false, true} {
		round := r.next(ledger.Round{}, newest)
		c := r.shard(1)
		if finished {
			c = r.finished(round)
		}
		r.database.DeleteShard(t, c.ID)
		a := r.audit()
		if !a.HasGaps() {
			t.Fatal("no gap")
		}
		gap := *a.Gap(a.Later[len(a.Later)-1].ID)
		equal(t, "gap", gap, ledger.Gap{Window: newest, Round: round.Number, Finished: finished})
		r.fill(ledger.Filled{Gap: gap})
		if a := r.audit(); a.HasGaps() {
			t.Errorf("finished %v: filled: %+v", finished, a)
		}
		if c := r.shard(1); (c.State == shard.Done) != finished || c.Window != newest || c.Counts != (shard.Counts{}) {
			t.Errorf("finished %v: %+v", finished, c)
		}
		if !finished {
			r.finished(round)
		}
	}
}

// finished finishes a round of one window that brings nothing new.
func (r *run) finished(round *ledger.Round) shard.Checkpoint {
	r.t.Helper()
	r.finish(1, nil)
	r.must(r.FinishRound(r.t.Context(), r.job.ID, round, 0))
	return r.shard(1)
}

func (r *run) fill(f ledger.Filled) {
	r.t.Helper()
	r.must(r.Reopen(r.t.Context(), r.job.ID, func(a ledger.Audit) ledger.Reopening {
		return ledger.Reopening{Filled: []ledger.Filled{f}, RowsBefore: a.RowsBefore}
	}))
}

// A commit from before the reopening is stale: it would set the end that is in doubt again.
func testReopenedCommit(t *testing.T, r *run) {
	r.create()
	from := r.begin(2)
	r.reopen(from, 0)
	if _, err := r.shards().Commit(t.Context(), batch(from, events(0, 5))); !errors.Is(err, shard.ErrStale) {
		t.Errorf("got %v, want ErrStale", err)
	}
	r.stored()
}

// letters are the dead letters of a job with one window, and the events that can be decoded from them now.
func (r *run) letters() (retries []ledger.Retry, want map[int64]ledger.Outcome) {
	r.t.Helper()
	window := shard.Window{Start: border, End: border + 1_000_000}
	r.create(window)
	outside, known, conflict, refused := event(1), event(0), event(5), event(3)
	outside.At = border - 1
	conflict.Name = "another"
	refused.Name = "a zero byte: \\u0000"
	refused.Type = fmt.Sprintf("%060d", 1)
	fates := []struct {
		event   shard.Event
		outcome ledger.Outcome
	}{{event(2), ledger.Stored}, {known, ledger.Known}, {outside, ledger.Outside}, {conflict, ledger.Conflict}, {refused, ledger.Refused}}
	rejects := make([]shard.Reject, len(fates))
	for i, f := range fates {
		rejects[i] = reject(fmt.Sprint(i), f.event.ID.String())
	}
	r.finish(1, []shard.Event{event(0), event(5)}, rejects...)
	want = map[int64]ledger.Outcome{}
	for _, l := range r.deadLetters() {
		var n int
		if _, err := fmt.Sscan(string(l.Raw), &n); err != nil {
			r.t.Fatal(err)
		}
		retries = append(retries, ledger.Retry{ID: l.ID, Event: fates[n].event})
		want[l.ID] = fates[n].outcome
	}
	return retries, want
}

func (r *run) replay(retries []ledger.Retry, dry bool, want map[int64]ledger.Outcome) {
	r.t.Helper()
	fates, err := r.Replay(r.t.Context(), r.job, slices.Clone(retries), dry)
	r.must(err)
	if len(fates) != len(retries) {
		r.t.Errorf("%d fates of %d dead letters", len(fates), len(retries))
	}
	for _, f := range fates {
		equal(r.t, fmt.Sprintf("outcome of dead letter %d (%s)", f.ID, f.Detail), f.Outcome, want[f.ID])
	}
}

// A replay happens once, and the ledger counts the records as what they have become.
func testReplay(t *testing.T, r *run) {
	retries, want := r.letters()
	equal(t, "before", r.shard(1).Counts, shard.Counts{Received: 7, Events: 2, DeadLetters: 5})
	r.replay(retries, false, want)
	after := shard.Counts{Received: 7, Events: 3, Duplicates: 1, OutOfWindow: 1, DeadLetters: 2}
	equal(t, "after", r.shard(1).Counts, after)
	r.stored(events(0, 1), events(5, 1), events(2, 1))
	for id, outcome := range want {
		if outcome.Settled() {
			want[id] = ledger.Before
		}
	}
	r.replay(retries, false, want)
	equal(t, "after the second time", r.shard(1).Counts, after)
	left, err := r.DeadLetters(t.Context(), ledger.DeadLetterQuery{JobID: r.job.ID})
	r.must(err)
	equal(t, "dead letters that are left", len(left), 2)
}

// A record that was replayed and whose row is gone becomes a dead letter again when windows are reopened, and can be replayed.
func testRevived(t *testing.T, r *run) {
	retries, want := r.letters()
	r.replay(retries, false, want)
	r.database.Delete(t, event(2))
	id := r.shard(1).ID
	r.must(r.Reopen(t.Context(), r.job.ID, func(a ledger.Audit) ledger.Reopening {
		equal(t, "revived", a.Revived[id], 1)
		return ledger.Reopening{Shards: []ledger.Reopened{{ID: id, Events: 2, Revived: 1}}}
	}))
	equal(t, "after the reopening", r.shard(1).Counts, shard.Counts{Received: 7, Events: 2, Duplicates: 1, OutOfWindow: 1, DeadLetters: 3})
	for id, outcome := range want {
		if outcome == ledger.Known || outcome == ledger.Outside {
			want[id] = ledger.Before
		}
	}
	r.replay(retries, false, want)
	r.stored(events(0, 1), events(5, 1), events(2, 1))
}

func testReplayDry(t *testing.T, r *run) {
	retries, want := r.letters()
	before := r.shard(1)
	r.replay(retries, true, want)
	equal(t, "checkpoint", r.shard(1), before)
	r.stored(events(0, 1), events(5, 1))
	r.replay(retries, false, want)
}
