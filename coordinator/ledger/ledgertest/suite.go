// Package ledgertest is the suite that every [ledger.Store] must pass: the one in PostgreSQL (package sink), and the simulated
// one with which the coordinator is tested in virtual time. It describes what a store does, in terms of the interface and of a
// few things that happen behind its back; so a model that passes it cannot drift away from the SQL.
//
// Run it outside of a synctest bubble: locks and quotas are tested with goroutines that really wait.
package ledgertest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// JobName is the job that every store of the suite is opened for.
const JobName = "test"

// Database is an empty database of one test.
type Database interface {
	// Open returns the database as one run of the program sees it, for the job [JobName]. Each call is another run.
	Open(t *testing.T) ledger.Store
	// IDs returns the ids of all rows of ingested_events, in any order.
	IDs(t *testing.T) []uuid.UUID
	// Insert stores rows as another program would.
	Insert(t *testing.T, rows ...shard.Event)
	// Delete deletes rows as another program would.
	Delete(t *testing.T, rows ...shard.Event)
	// DeleteShard deletes a row of ingestion_shards, as a restored backup would.
	DeleteShard(t *testing.T, id int64)
}

// Run runs the whole suite. Open returns an empty database for each test. The tests named in without are skipped: they describe
// what a model may leave out.
func Run(t *testing.T, open func(t *testing.T) Database, without ...string) {
	for name, test := range map[string]func(*testing.T, *run){
		"Job":                        testJob,
		"NoJob":                      testNoJob,
		"Verdict":                    testVerdict,
		"Begin":                      testBegin,
		"AShardThatIsGone":           testShardGone,
		"Fail":                       testFail,
		"Commit":                     testCommit,
		"CommitTwice":                testCommitTwice,
		"CommitOfAnOlderRun":         testCommitOfAnOlderRun,
		"CommitThatLosesRecords":     testCommitThatLosesRecords,
		"CommitUnderAnEndedContext":  testCommitEnded,
		"KnownEvents":                testKnownEvents,
		"Conflicts":                  testConflicts,
		"RefusedRows":                testRefusedRows,
		"DeadLetters":                testDeadLetters,
		"Split":                      testSplit,
		"SplitOfAnotherWindow":       testSplitOfAnotherWindow,
		"Witnesses":                  testWitnesses,
		"WitnessesRefused":           testWitnessesRefused,
		"Rounds":                     testRounds,
		"AnOpenRound":                testOpenRound,
		"Focus":                      testFocus,
		"LateEvents":                 testLateEvents,
		"Accounted":                  testAccounted,
		"Audit":                      testAudit,
		"AuditOfLaterRounds":         testAuditLater,
		"AuditByDay":                 testAuditByDay,
		"VanishedRows":               testVanishedRows,
		"RecountedLaterRounds":       testRecountedLater,
		"ReopenedUnderAnOlderCommit": testReopenedCommit,
		"LostShards":                 testLostShards,
		"LostShardsOfRounds":         testLostShardsOfRounds,
		"Replay":                     testReplay,
		"ReplayOfWhatVanished":       testRevived,
		"ReplayDry":                  testReplayDry,
		"Doubts":                     testDoubts,
		"Known":                      testKnown,
		"TableState":                 testTableState,
		"Lock":                       testLock,
		"LockClaims":                 testLockClaims,
		"Quotas":                     testQuotas,
		"QuotasOfTwoRuns":            testQuotasOfTwoRuns,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if slices.Contains(without, name) {
				t.Skip("the store is a model that leaves this out")
			}
			test(t, &run{t: t, database: open(t)})
		})
	}
}

// border divides the two windows of the suite's job.
const border shard.Instant = 1_769_472_000_000_000 // 2026-01-27, at midnight

var windows = []shard.Window{{Start: shard.Past, End: border}, {Start: border, End: shard.Future}}

// run is a store, opened by one run, and the job in it.
type run struct {
	ledger.Store
	t        *testing.T
	database Database
	job      *ledger.Job
}

// create opens the store and creates the job, with the windows given or those of the suite.
func (r *run) create(in ...shard.Window) {
	r.t.Helper()
	if len(in) == 0 {
		in = windows
	}
	r.Store = r.database.Open(r.t)
	r.must(r.Migrate(r.t.Context()))
	span := shard.Window{Start: in[0].Start, End: in[len(in)-1].End}
	job, err := r.CreateJob(r.t.Context(), ledger.Job{Name: JobName, Source: "source", Span: span, Candidate: border, Newest: border + 5000}, in)
	r.must(err)
	r.job = job
}

// another is another run of the same job.
func (r *run) another() *run {
	r.t.Helper()
	return &run{Store: r.database.Open(r.t), t: r.t, database: r.database, job: r.job}
}

func (r *run) shards() ledger.Shards { return r.Shards(r.job.ID, 0) }

// shard returns the n-th shard of the current round, counted from 1.
func (r *run) shard(n int) shard.Checkpoint {
	r.t.Helper()
	all, err := r.Load(r.t.Context(), r.job.ID)
	r.must(err)
	if len(all) < n {
		r.t.Fatalf("the round has %d shards, not %d", len(all), n)
	}
	return all[n-1]
}

func (r *run) begin(n int) shard.Checkpoint {
	r.t.Helper()
	c, err := r.shards().Begin(r.t.Context(), r.shard(n).ID)
	r.must(err)
	return c
}

func (r *run) commit(b shard.Batch) shard.Counts {
	r.t.Helper()
	counts, err := r.shards().Commit(r.t.Context(), b)
	r.must(err)
	return counts
}

// finish commits a batch with which the n-th shard is done.
func (r *run) finish(n int, in []shard.Event, rejects ...shard.Reject) shard.Counts {
	r.t.Helper()
	b := batch(r.begin(n), in, rejects...)
	b.Proof = shard.ProofOlder
	return r.commit(b)
}

func (r *run) reload() *ledger.Job {
	r.t.Helper()
	job, found, err := r.Job(r.t.Context(), JobName)
	r.must(err)
	if !found {
		r.t.Fatal("the job is gone")
	}
	return job
}

func (r *run) audit() ledger.Audit {
	r.t.Helper()
	a, err := r.Audit(r.t.Context(), r.job.ID)
	r.must(err)
	return a
}

func (r *run) deadLetters() []ledger.DeadLetter {
	r.t.Helper()
	all, err := r.DeadLetters(r.t.Context(), ledger.DeadLetterQuery{JobID: r.job.ID, Replayed: true, Whole: true})
	r.must(err)
	return all
}

// stored fails the test unless ingested_events holds exactly these rows, each once.
func (r *run) stored(want ...[]shard.Event) {
	r.t.Helper()
	var ids []string
	for _, e := range slices.Concat(want...) {
		ids = append(ids, e.ID.String())
	}
	var have []string
	for _, id := range r.database.IDs(r.t) {
		have = append(have, id.String())
	}
	slices.Sort(ids)
	slices.Sort(have)
	if !slices.Equal(have, ids) {
		r.t.Errorf("%d rows are stored, want %d:\n%s\nwant:\n%s", len(have), len(ids), strings.Join(have, "\n"), strings.Join(ids, "\n"))
	}
}

func (r *run) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// ended is a context that has ended.
func (r *run) ended() context.Context {
	ctx, cancel := context.WithCancel(r.t.Context())
	cancel()
	return ctx
}

// event returns the n-th event: always the same. From 0 on they are in the newer window, n milliseconds after its start; before
// that they are in the older one.
func event(n int) shard.Event {
	id := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n))
	return shard.Event{
		ID: id, Session: uuid.NewSHA1(id, []byte("session")), User: uuid.NewSHA1(id, []byte("user")),
		At: border + 1000*shard.Instant(n), Type: "click", Name: fmt.Sprintf("event_%d", n),
		Properties: `{"page":"/home"}`, Device: "tablet", Browser: "Edge",
	}
}

func events(first, count int) []shard.Event {
	all := make([]shard.Event, count)
	for i := range all {
		all[i] = event(first + i)
	}
	return all
}

// batch returns a batch of these events and rejects, on one page each.
func batch(from shard.Checkpoint, in []shard.Event, rejects ...shard.Reject) shard.Batch {
	b := shard.Batch{From: from, Pages: [][]shard.Event{in}, Rejects: rejects, Cursor: "next"}
	b.Seen.Received = int64(len(in) + len(rejects))
	if len(in) > 0 {
		b.Resume = in[len(in)-1].Key()
	}
	return b
}

// reject returns a record that could not become an event.
func reject(raw, id string) shard.Reject {
	return shard.Reject{Raw: []byte(raw), RawBytes: len(raw), SHA256: sha256.Sum256([]byte(raw)), EventID: id, Reason: "json",
		Detail: "not JSON", Endpoint: "list"}
}
