package ledger

import (
	"time"

	"sluice/shard"
)

// DeadLetter is a record that could not become a row, as it was received.
type DeadLetter struct {
	ID         int64
	Shard      int
	Seq        int64 // the batch that brought it
	SHA256     []byte
	Raw        []byte // exactly as received; of a long one in a list, and beyond 1 MiB, only the beginning
	RawBytes   int64  // its whole length
	EventID    string // as received; empty if none was readable
	Reason     string
	Detail     string
	Endpoint   string
	ReceivedAt time.Time
	ReplayedAt time.Time // zero if it was not replayed
}

// DeadLetterQuery chooses dead letters of one job.
type DeadLetterQuery struct {
	JobID    int64
	IDs      []int64 // nil means any
	Reason   string  // empty means any
	Replayed bool    // include those that were replayed
	Whole    bool    // with all their bytes
	AfterID  int64   // for the next page: the last ID of the one before
	Limit    int     // default 100
}

// Retry is a dead letter whose record can be decoded now.
type Retry struct {
	ID    int64 // of the dead letter
	Event shard.Event
}

// Fate is what became of a dead letter that was tried again.
type Fate struct {
	ID      int64
	Outcome Outcome
	Detail  string // why it stays a dead letter
}

// Outcome is one word for a fate.
type Outcome string

// The fates of a dead letter. After the first three it is a dead letter no more, and is counted as what it has become.
const (
	Stored   Outcome = "stored"
	Known    Outcome = "known"    // the table has the same event already
	Outside  Outcome = "outside"  // the event does not belong to the job's span
	Conflict Outcome = "conflict" // stays: the table has the id with other content
	Refused  Outcome = "refused"  // stays: the table does not take the row
	Before   Outcome = "replayed" // it was replayed before
)

// Settled reports whether a record with that outcome is a dead letter no more.
func (o Outcome) Settled() bool { return o == Stored || o == Known || o == Outside }
