package ledger

import (
	"cmp"
	"time"

	"sluice/shard"
)

// Audit is what table and ledger hold of a job at one moment: the figures that package sink/audit judges.
type Audit struct {
	Span       shard.Window
	Windows    []AuditWindow      // of round 1, which cover the span, oldest first; see FillGaps
	Later      []shard.Checkpoint // of later rounds
	Rows       int64              // of ingested_events, whoever wrote them
	RowsBefore int64              // of them, those that were there before the job
	ByOthers   int64              // events that other jobs stored
	Foreign    int64              // rows that no job has stored, and that were accepted
	Lost       int64              // events that are gone, which was accepted
	// Dead letters that no row of ingested_events stands for: ids that were readable, each once; records without one; and how
	// often such a record came again, which may be another record with the same bytes, or the same one read twice: not those that came
	// again because a window was opened once more.
	DeadNamed, DeadBlind, DeadDuplicates int64
	// DeadConflicts are records whose id has a row, with other content: the source may well count both.
	DeadConflicts int64
	// Revived are dead letters that were replayed, and whose events are gone from the table, by shard: the source has nothing to store
	// in their place.
	Revived map[int64]int64
	Unmet   []Unmet    // witnesses of round 1
	Days    []AuditDay // oldest first; only of AuditByDay

	gaps []Gap
}

// Unmet is a witness that is neither in the table nor among the dead letters: a record next to a window that its shard dropped, because
// the neighbour stores it, and the neighbour did not.
type Unmet struct {
	Event  shard.Event
	Keeper int64 // row of the shard that kept it
	Owner  int64 // of the one of the same round in whose window it lies; 0 if there is none
}

// Counts returns the row of the shard that counts the witness if it is stored from what was kept.
func (u *Unmet) Counts() int64 { return cmp.Or(u.Owner, u.Keeper) }

// AuditWindow is one window: what its shard counted, and the rows in it.
type AuditWindow struct {
	shard.Checkpoint
	Rows     int64
	Verified int64 // rows that it had when the job was last verified, whoever stored them
	// Expected is how many events it had when it was opened again because rows were gone, as far as that is known of it alone: the
	// windows that were opened together have it in sum. Nil if it never was, or if that was accepted.
	Expected *int64
}

// AuditDay is a day of event time, in UTC, and the rows in it.
type AuditDay struct {
	Day    time.Time // its first instant
	Rows   int64
	Shards []DayOfShard // oldest window first
}

// DayOfShard is the part of a day that lies in one window.
type DayOfShard struct {
	Shard int
	Rows  int64
}

// Reopening opens windows of a job again. What their shards count from then on was counted in the table.
type Reopening struct {
	Shards     []Reopened
	Filled     []Filled
	Accepted   bool  // the table is right as it is: what windows had before is forgotten
	RowsBefore int64 // of the job, from then on
}

// Reopened is a shard whose counts change, or whose window is walked once more.
type Reopened struct {
	ID       int64
	Events   int64
	Expected *int64 // nil leaves it as it is
	Revived  int64  // dead letters that are dead letters again
	Walk     bool
}

// Filled is a new shard for a gap. It is walked like one that was reopened; that of a finished round is done, and stands for nothing:
// round 1 counts the rows, and is walked there.
type Filled struct {
	Gap
	Events   int64  // rows that the table has in it, which it counts as its own
	Expected *int64 // as in Reopened
}

// Finding is something about a store that its operator should know.
type Finding struct {
	Name   string
	Unfit  bool // rows could be lost or spoiled without an error: a run must not go on
	Detail string
	Hint   string // what to do about it
}
