package ledger

import (
	"cmp"
	"time"

	"sluice/shard"
)

// Audit is what table and ledger hold of a job at one moment: the figures that package sink/audit judges.
type Audit struct {
	Span       shard.Window
	Windows    []AuditWindow // of round 1, which tile the span, oldest first
	Later      int64         // events that later rounds stored
	LaterOpen  int64         // shards of later rounds that are not done
	Rows       int64         // of ingested_events, whoever wrote them
	RowsBefore int64         // of them, those that were there before the job
	ByOthers   int64         // events that other jobs stored
	// Dead letters that no row of ingested_events stands for: ids that were readable, each once; records without one; and how
	// often such a record came again, which may be another record with the same bytes, or the same one read twice.
	DeadNamed, DeadBlind, DeadDuplicates int64
	// DeadConflicts are records whose id has a row, with other content: the source may well count both.
	DeadConflicts int64
	Unmet         []Unmet    // witnesses of round 1
	Days          []AuditDay // oldest first; only of AuditByDay
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
	Later int64 // events that later rounds stored in windows inside of it
	Rows  int64
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

// Reopening is a shard to walk once more.
type Reopening struct {
	ID   int64 // of its row in ingestion_shards
	Gone int64 // rows that it stored and that are not there any more
}

// Finding is something about a store that its operator should know.
type Finding struct {
	Name   string
	Unfit  bool // rows could be lost or spoiled without an error: a run must not go on
	Detail string
	Hint   string // what to do about it
}
