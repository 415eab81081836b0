package shard

import (
	"cmp"
	"context"
	"iter"
	"time"
)

// State is the state of a shard.
type State string

// The states of a shard.
const (
	Pending State = "pending"
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
	Suspect State = "suspect" // it was done, but the check found rows missing: it is walked once more
)

// Counts says what became of the records of a shard. The database enforces that Received is the sum of the four after it.
type Counts struct {
	Received    int64 `json:"received"`
	Events      int64 `json:"events"`        // rows that this shard stored
	Duplicates  int64 `json:"duplicates"`    // records that were stored or dead-lettered already
	OutOfWindow int64 `json:"out_of_window"` // records of a neighbour, which stores them
	DeadLetters int64 `json:"dead_letters"`
	OutOfOrder  int64 `json:"out_of_order"` // not part of the sum: stored, but not where the API's order allows them
}

// Add returns the sum of both.
func (c Counts) Add(d Counts) Counts {
	c.Received += d.Received
	c.Events += d.Events
	c.Duplicates += d.Duplicates
	c.OutOfWindow += d.OutOfWindow
	c.DeadLetters += d.DeadLetters
	c.OutOfOrder += d.OutOfOrder
	return c
}

// Proof says how the end of a shard was proven. It is empty while it is not.
type Proof string

// The proofs of an end.
const (
	ProofOlder     Proof = "older"     // records older than the window were seen, in order
	ProofConfirmed Proof = "confirmed" // the API said that there is no more, twice, to different requests
)

// Checkpoint is the durable state of a shard: its row in ingestion_shards, and the only truth about its progress.
type Checkpoint struct {
	ID            int64 // of the row
	Shard         int   // number in the round: planned windows are counted from 1, the oldest, and pieces of splits after them
	Parent        int64 // row of the shard from which this one was split off; 0 for a planned window
	Window        Window
	Seq           int64 // batches committed; Commit succeeds only if the row still has the Seq that the batch started from
	Cursor        string
	CursorExpires time.Time
	Resume        Key
	Counts        Counts
	Proof         Proof
	State         State
	Reopened      int // how often it was suspect: each time its end needs a better proof
	Attempts      int
	LastError     string
}

// Position returns where reading continues.
func (c *Checkpoint) Position() Position {
	return Position{End: c.Window.End, Resume: c.Resume, Cursor: c.Cursor, CursorExpires: c.CursorExpires}
}

// NewestFirst compares checkpoints by their windows: newest first, the order in which they are started.
func NewestFirst(a, b Checkpoint) int { return cmp.Compare(b.Window.Start, a.Window.Start) }

// Sink commits a batch together with its checkpoint, or not at all.
type Sink interface {
	// Commit stores b, moves the checkpoint, and returns what was counted. It retries faults of the database itself, with the
	// batch in hand, until ctx ends. ErrStale means that the row is no longer at b.From.Seq.
	Commit(ctx context.Context, b Batch) (Counts, error)
}

// Batch is consecutive pages of a shard that are committed together.
type Batch struct {
	From    Checkpoint // what they start from; From.ID, From.Seq and From.Window are compared with the row
	Pages   [][]Event  // the events of each page, in the API's order
	Rejects []Reject
	// Seen is what the shard counted itself: Received, OutOfWindow, OutOfOrder, and as Duplicates the records it dropped
	// because it had them. The Sink adds what became of Events and Rejects.
	Seen Counts

	// The row after the batch:
	Cursor        string
	CursorExpires time.Time
	Resume        Key
	Proof         Proof // if it is not empty, the shard is done

	// Newer and Older are witnesses: a few of the records next to the window that the shard dropped, because its neighbours
	// store them. The check looks for them in the table. They replace those of earlier batches unless they are empty.
	Newer, Older []Event

	// Split lists the windows that are cut off the older end of this shard's, oldest first. They become shards of their own,
	// and its own window begins where the last of them ends.
	Split []Window

	grant int64 // bytes of the memory budget that its pages hold
}

// witnesses is how many records a shard keeps of each side.
const witnesses = 4

// Rows returns how many events the batch has.
func (b *Batch) Rows() int {
	n := 0
	for _, page := range b.Pages {
		n += len(page)
	}
	return n
}

// Events yields the events of all pages, in the API's order.
func (b *Batch) Events() iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		for _, page := range b.Pages {
			for i := range page {
				if !yield(&page[i]) {
					return
				}
			}
		}
	}
}

// join appends the pages of next, which follow b's. No event is moved: copying them to one slice was a tenth of all work.
func (b *Batch) join(next Batch) {
	b.Pages = append(b.Pages, next.Pages...)
	b.Rejects = append(b.Rejects, next.Rejects...)
	b.Seen = b.Seen.Add(next.Seen)
	if len(next.Newer) > 0 {
		b.Newer = next.Newer
	}
	if len(next.Older) > 0 {
		b.Older = next.Older
	}
	b.Cursor, b.CursorExpires, b.Resume, b.Proof = next.Cursor, next.CursorExpires, next.Resume, next.Proof
	b.grant += next.grant
}
