package ledgertest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

func testNoJob(t *testing.T, r *run) {
	r.Store = r.database.Open(t)
	r.must(r.Migrate(t.Context()))
	if job, found, err := r.Job(t.Context(), "none"); found || err != nil || job != nil {
		t.Errorf("job %v, found %v, error %v", job, found, err)
	}
}

// A job is read as it was written, and knows how many rows were there before it.
func testJob(t *testing.T, r *run) {
	r.Store = r.database.Open(t)
	r.must(r.Migrate(t.Context()))
	r.database.Insert(t, events(500, 3)...)
	in := ledger.Job{Name: JobName, Source: "source", Span: ledger.Everything, Oldest: 17, APITotal: 40, Candidate: border, Newest: border + 1}
	job, err := r.CreateJob(t.Context(), in, windows)
	r.must(err)
	r.job = job
	for _, j := range []*ledger.Job{job, r.reload()} {
		want := ledger.Job{ID: j.ID, Name: JobName, Source: "source", Span: ledger.Everything, Shards: 2, Oldest: 17,
			Capabilities: json.RawMessage(`{}`), APITotal: 40, RowsBefore: 3, Round: 1, CreatedAt: j.CreatedAt}
		have := *j
		equal(t, "capabilities", string(have.Capabilities), `{}`)
		have.Capabilities, want.Capabilities = nil, nil
		if !jobsEqual(have, want) || j.ID == 0 || time.Since(j.CreatedAt).Abs() > time.Hour {
			t.Errorf("got %+v, want %+v", have, want)
		}
	}
	for n, want := range windows {
		c := r.shard(n + 1)
		if c != (shard.Checkpoint{ID: c.ID, Shard: n + 1, Window: want, State: shard.Pending}) {
			t.Errorf("shard %d: %+v", n+1, c)
		}
	}
	r.must(r.SetSource(t.Context(), job.ID, "elsewhere"))
	equal(t, "source", r.reload().Source, "elsewhere")
}

func jobsEqual(a, b ledger.Job) bool {
	a.CreatedAt, b.CreatedAt = time.Time{}, time.Time{}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// The first verdict that is verified finishes round 1 and sets the watermark; a later doubt takes back the time, not the watermark.
func testVerdict(t *testing.T, r *run) {
	r.create()
	r.must(r.SetVerdict(t.Context(), r.job.ID, "a row is missing", false))
	if j := r.reload(); j.Verified() || j.Verdict != "a row is missing" || j.Watermark != 0 {
		t.Errorf("in doubt: %+v", j)
	}
	r.must(r.SetVerdict(t.Context(), r.job.ID, "complete", true))
	if j := r.reload(); !j.Verified() || j.Verdict != "complete" || j.Watermark != border {
		t.Errorf("verified: %+v", j)
	}
	last, err := r.LastRound(t.Context(), r.job.ID)
	r.must(err)
	if last.Number != 1 || !last.Finished() {
		t.Errorf("round 1 of a verified job: %+v", last)
	}
	r.must(r.SetVerdict(t.Context(), r.job.ID, "a row is missing", false))
	if j := r.reload(); j.Verified() || j.Watermark != border {
		t.Errorf("in doubt again: %+v", j)
	}
}

// Begin takes a shard, as often as it is asked, until the shard is done.
func testBegin(t *testing.T, r *run) {
	r.create()
	for attempt := 1; attempt <= 2; attempt++ {
		c := r.begin(1)
		if c.State != shard.Running || c.Attempts != attempt || c.Seq != 0 || c != r.shard(1) {
			t.Errorf("attempt %d: %+v, stored %+v", attempt, c, r.shard(1))
		}
	}
	equal(t, "the other shard", r.shard(2).State, shard.Pending)
	r.finish(1, nil)
	if _, err := r.shards().Begin(t.Context(), r.shard(1).ID); !errors.Is(err, shard.ErrStale) {
		t.Errorf("begin of a shard that is done: %v, want ErrStale", err)
	}
}

// A row that the ledger has lost is not stale: no other run works on it, and no retry helps.
func testShardGone(t *testing.T, r *run) {
	r.create()
	from := r.begin(2)
	r.database.DeleteShard(t, from.ID)
	if _, err := r.shards().Begin(t.Context(), from.ID); err == nil || errors.Is(err, shard.ErrStale) || errors.As(err, new(*shard.TransientError)) {
		t.Errorf("begin: %v", err)
	}
	if _, err := r.shards().Commit(t.Context(), batch(from, events(0, 3))); !errors.Is(err, shard.ErrStale) {
		t.Errorf("commit: %v, want ErrStale", err)
	}
	r.stored()
}

// Fail records a fault, unless the shard is done or another run has it.
func testFail(t *testing.T, r *run) {
	r.create()
	id := r.begin(1).ID
	r.must(r.shards().Fail(t.Context(), id, shard.Failed, "no access"))
	if c := r.shard(1); c.State != shard.Failed || c.LastError != "no access" {
		t.Errorf("%+v", c)
	}
	r.must(r.shards().Fail(t.Context(), id, shard.Pending, "try again"))
	equal(t, "state", r.shard(1).State, shard.Pending)
	r.must(r.another().shards().Fail(t.Context(), id, shard.Failed, "of another run"))
	equal(t, "after a run that does not have it", r.shard(1).State, shard.Pending)
	r.finish(1, nil)
	r.must(r.shards().Fail(t.Context(), id, shard.Failed, "too late"))
	if c := r.shard(1); c.State != shard.Done || c.LastError != "" {
		t.Errorf("%+v", c)
	}
}

// A commit stores the rows and moves the checkpoint.
func testCommit(t *testing.T, r *run) {
	r.create()
	from := r.begin(2)
	b := batch(from, events(0, 10), reject("{", ""))
	b.Seen.Received, b.Seen.OutOfWindow, b.Seen.Duplicates, b.Seen.OutOfOrder = 16, 2, 3, 1
	b.CursorExpires = time.UnixMicro(int64(border)).UTC()
	counts := r.commit(b)
	want := shard.Counts{Received: 16, Events: 10, Duplicates: 3, OutOfWindow: 2, DeadLetters: 1, OutOfOrder: 1}
	equal(t, "counts", counts, want)
	c := r.shard(2)
	expires := c.CursorExpires
	c.CursorExpires = time.Time{}
	equal(t, "checkpoint", c, shard.Checkpoint{ID: from.ID, Shard: 2, Window: windows[1], Seq: 1, Cursor: "next", Resume: b.Resume, Counts: want,
		State: shard.Running, Attempts: 1})
	if !expires.Equal(b.CursorExpires) {
		t.Errorf("the cursor expires %v, want %v", expires, b.CursorExpires)
	}
	r.stored(events(0, 10))

	end := batch(c, nil)
	end.Cursor, end.Resume, end.Proof = "", c.Resume, shard.ProofOlder
	r.commit(end)
	c = r.shard(2)
	if c.State != shard.Done || c.Proof != shard.ProofOlder || c.Seq != 2 || c.Cursor != "" || c.Counts != want {
		t.Errorf("after the last batch: %+v", c)
	}
}

// A batch is stored once. The second time it is stale, and changes nothing; so is one that does not start where the row is.
func testCommitTwice(t *testing.T, r *run) {
	r.create()
	b := batch(r.begin(2), events(0, 10))
	r.commit(b)
	before := r.shard(2)
	ahead := batch(before, events(20, 3))
	ahead.From.Seq = 7
	for name, b := range map[string]shard.Batch{"again": b, "ahead of the row": ahead} {
		if _, err := r.shards().Commit(t.Context(), b); !errors.Is(err, shard.ErrStale) {
			t.Errorf("%s: %v, want ErrStale", name, err)
		}
	}
	equal(t, "checkpoint", r.shard(2), before)
	r.stored(events(0, 10))
}

// A run that takes the job makes the batches of an older one stale.
func testCommitOfAnOlderRun(t *testing.T, r *run) {
	r.create()
	old := batch(r.begin(2), events(0, 10))
	next := r.another()
	lock, err := next.Lock(t.Context())
	r.must(err)
	defer lock.Close(t.Context())
	if _, err := r.shards().Commit(t.Context(), old); !errors.Is(err, shard.ErrStale) {
		t.Errorf("got %v, want ErrStale", err)
	}
	r.stored()
	next.commit(batch(next.begin(2), events(0, 10)))
	r.stored(events(0, 10))
}

// Received is the sum of what became of the records, or the batch is refused.
func testCommitThatLosesRecords(t *testing.T, r *run) {
	r.create()
	b := batch(r.begin(2), events(0, 10))
	b.Seen.Received++
	if _, err := r.shards().Commit(t.Context(), b); err == nil || errors.Is(err, shard.ErrStale) {
		t.Errorf("got %v", err)
	}
	equal(t, "seq", r.shard(2).Seq, 0)
	r.stored()
}

func testCommitEnded(t *testing.T, r *run) {
	r.create()
	from := r.begin(2)
	if _, err := r.shards().Commit(r.ended(), batch(from, events(0, 10))); err == nil {
		t.Error("a commit under a context that has ended succeeds")
	}
	equal(t, "checkpoint", r.shard(2), from)
	r.stored()
}

// Events that are stored already, or twice in a batch, are duplicates.
func testKnownEvents(t *testing.T, r *run) {
	r.create()
	r.commit(batch(r.begin(2), events(0, 10)))
	counts := r.commit(batch(r.shard(2), events(5, 10)))
	equal(t, "counts", counts, shard.Counts{Received: 10, Events: 5, Duplicates: 5})
	twice := append(events(20, 2), events(20, 2)...)
	equal(t, "counts of a batch with duplicate ids", r.commit(batch(r.shard(2), twice)), shard.Counts{Received: 4, Events: 2, Duplicates: 2})
	r.stored(events(0, 15), events(20, 2))
	equal(t, "sum", r.shard(2).Counts, shard.Counts{Received: 24, Events: 17, Duplicates: 7})
}

// Of two events with one id the first is stored, and the other becomes a dead letter: from another batch, or from the same one.
func testConflicts(t *testing.T, r *run) {
	r.create()
	r.commit(batch(r.begin(2), events(0, 2)))
	other := event(1)
	other.Name = "another"
	counts := r.commit(batch(r.shard(2), []shard.Event{other, event(2)}))
	equal(t, "counts", counts, shard.Counts{Received: 2, Events: 1, DeadLetters: 1})
	first, second := event(3), event(3)
	second.Browser = "Lynx"
	counts = r.commit(batch(r.shard(2), []shard.Event{first, second}))
	equal(t, "counts within a batch", counts, shard.Counts{Received: 2, Events: 1, DeadLetters: 1})
	r.stored(events(0, 4))
	letters := r.deadLetters()
	if len(letters) != 2 {
		t.Fatalf("%d dead letters", len(letters))
	}
	for i, id := range []string{other.ID.String(), second.ID.String()} {
		if l := letters[i]; l.Reason != "conflict" || l.EventID != id || l.Shard != 2 {
			t.Errorf("dead letter %d: %+v", i, l)
		}
	}
	equal(t, "conflicts in the audit", r.audit().DeadConflicts, 2)
}

// A row that the table refuses costs one record, not its neighbours.
func testRefusedRows(t *testing.T, r *run) {
	r.create()
	in := events(0, 5)
	in[1].Type = strings.Repeat("long", 20)
	in[3].Name = "a zero byte: \x00"
	counts := r.commit(batch(r.begin(2), in))
	equal(t, "counts", counts, shard.Counts{Received: 5, Events: 3, DeadLetters: 2})
	r.stored(events(0, 1), events(2, 1), events(4, 1))
	for _, l := range r.deadLetters() {
		equal(t, "reason", l.Reason, "refused")
	}
}

// A reject is kept once, byte for byte; what comes again is a duplicate.
func testDeadLetters(t *testing.T, r *run) {
	r.create()
	named, blind := reject(`{"id":"17"}`, "17"), reject("\xff\x00{", "")
	counts := r.commit(batch(r.begin(2), events(0, 2), named, blind))
	equal(t, "counts", counts, shard.Counts{Received: 4, Events: 2, DeadLetters: 2})
	counts = r.commit(batch(r.shard(2), nil, blind, named))
	equal(t, "counts of the second time", counts, shard.Counts{Received: 2, Duplicates: 2})
	letters := r.deadLetters()
	if len(letters) != 2 {
		t.Fatalf("%d dead letters", len(letters))
	}
	for _, l := range letters {
		want := named
		if l.EventID == "" {
			want = blind
		}
		if string(l.Raw) != string(want.Raw) || [32]byte(l.SHA256) != want.SHA256 || l.RawBytes != int64(want.RawBytes) || l.Reason != want.Reason ||
			l.Detail != want.Detail || l.Shard != 2 || !l.ReplayedAt.IsZero() {
			t.Errorf("%+v, want %+v", l, want)
		}
	}
	a := r.audit()
	equal(t, "with a readable id", a.DeadNamed, 1)
	equal(t, "without", a.DeadBlind, 1)
	equal(t, "that came again", a.DeadDuplicates, 1)
	r.reopen(r.shard(2), 2)
	r.commit(batch(r.begin(2), events(0, 2), named, blind))
	equal(t, "that came again, after the window was read once more", r.audit().DeadDuplicates, 1)
	one, err := r.DeadLetters(t.Context(), ledger.DeadLetterQuery{JobID: r.job.ID, AfterID: letters[0].ID, Limit: 1})
	r.must(err)
	if len(one) != 1 || one[0].ID != letters[1].ID {
		t.Errorf("the second page is %+v", one)
	}
}

// A commit cuts pieces off the older end of its window; they are shards of the same run.
func testSplit(t *testing.T, r *run) {
	r.create()
	from := r.begin(2)
	b := batch(from, events(100, 5))
	b.Split = []shard.Window{{Start: border, End: border + 10_000}, {Start: border + 10_000, End: border + 20_000}}
	r.commit(b)
	all, err := r.Load(t.Context(), r.job.ID)
	r.must(err)
	if len(all) != 4 {
		t.Fatalf("%d shards", len(all))
	}
	for i, want := range b.Split {
		c := all[1+i]
		equal(t, "piece", c, shard.Checkpoint{ID: c.ID, Shard: 3 + i, Parent: from.ID, Window: want, State: shard.Pending})
		r.begin(2 + i)
	}
	own := all[3]
	if own.ID != from.ID || own.Seq != 1 || own.Window != (shard.Window{Start: border + 20_000, End: shard.Future}) {
		t.Errorf("the shard itself: %+v", own)
	}
	r.commit(batch(own, events(50, 5)))
	r.stored(events(100, 5), events(50, 5))
}

// A batch of another window than the row's is stale, whatever the id and seq: the database may have gone back in time.
func testSplitOfAnotherWindow(t *testing.T, r *run) {
	r.create()
	b := batch(r.begin(2), events(0, 5))
	b.From.Window.Start++
	if _, err := r.shards().Commit(t.Context(), b); !errors.Is(err, shard.ErrStale) {
		t.Errorf("got %v, want ErrStale", err)
	}
	r.stored()
}

// Witnesses are kept until later ones of the same side replace them. Those that no row or dead letter stands for are unmet, and are
// stored from what was kept, once: as an event out of order of the shard in whose window they lie.
func testWitnesses(t *testing.T, r *run) {
	r.create()
	span := shard.Window{Start: border - 1_000_000, End: border + 1_000_000}
	job, err := r.CreateJob(t.Context(), ledger.Job{Name: JobName + " of a span", Source: "source", Span: span, Candidate: border},
		[]shard.Window{{Start: span.Start, End: border}, {Start: border, End: span.End}})
	r.must(err)
	r.job = job
	b := batch(r.begin(2), events(0, 3))
	b.Newer = events(999_999, 1)
	b.Older = events(-2, 2)
	r.commit(b)
	last := batch(r.shard(2), events(3, 3))
	outside := event(-5)
	outside.At = span.Start - 1
	last.Older, last.Proof = append(events(-3, 3), outside), shard.ProofOlder
	r.commit(last)
	named := event(-2)
	r.finish(1, events(-1, 1), reject(`{"id":"`+named.ID.String()+`"}`, strings.ToUpper(named.ID.String())))

	before := r.unmet()
	if len(before) != 1 || before[0].Event != event(-3) || before[0].Owner != r.shard(1).ID || before[0].Keeper != r.shard(2).ID {
		t.Fatalf("unmet: %+v", before)
	}
	if a := r.audit(); len(a.Unmet) != 1 || a.Unmet[0] != before[0] {
		t.Errorf("the audit has %+v", a.Unmet)
	}
	counts := r.shard(1).Counts
	for _, want := range []int{1, 0} {
		stored, err := r.Adopt(t.Context(), r.job.ID, 1)
		r.must(err)
		equal(t, "stored", stored, want)
	}
	equal(t, "counts of its window", r.shard(1).Counts, counts.Add(shard.Counts{Received: 1, Events: 1, OutOfOrder: 1}))
	r.stored(events(0, 6), events(-1, 1), events(-3, 1))
	equal(t, "still unmet", len(r.unmet()), 0)
}

// A witness that the table refuses stays unmet.
func testWitnessesRefused(t *testing.T, r *run) {
	r.create(shard.Window{Start: border, End: shard.Future})
	b := batch(r.begin(1), events(0, 3))
	long := event(20)
	long.Type = strings.Repeat("long", 20)
	b.Newer, b.Proof = []shard.Event{long, event(21)}, shard.ProofOlder
	r.commit(b)
	stored, err := r.Adopt(t.Context(), r.job.ID, 1)
	r.must(err)
	equal(t, "stored", stored, 1)
	if left := r.unmet(); len(left) != 1 || left[0].Event != long {
		t.Errorf("unmet: %+v", left)
	}
	equal(t, "out of order", r.shard(1).Counts.OutOfOrder, 1)
}

func (r *run) unmet() []ledger.Unmet {
	r.t.Helper()
	unmet, err := r.Unmet(r.t.Context(), r.job.ID, 1)
	r.must(err)
	return unmet
}
