package shard

import (
	"cmp"
	"iter"
	"time"
)

// State is where a shard stands.
type State string

// The states of a shard. Suspect: done, but the check found rows missing, so that it is walked once more.
const (
	Pending State = "pending"
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
	Suspect State = "suspect"
)

// Counts is what became of the records of a shard. The database holds the law: Received is the sum of the four after it.
type Counts struct {
	Received    int64 `json:"received"`
	Events      int64 `json:"events"`        // rows that this shard stored
	Duplicates  int64 `json:"duplicates"`    // records that were stored or dead-lettered already
	OutOfWindow int64 `json:"out_of_window"` // belong to a neighbour, which has them
	DeadLetters int64 `json:"dead_letters"`
	OutOfOrder  int64 `json:"out_of_order"` // not part of the law: stored, but where the API's order does not allow them
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

// Proof tells how the end of a shard was proven; empty while it is not.
type Proof string

// The proofs of an end.
const (
	ProofOlder     Proof = "older"     // records older than the window were seen, in order
	ProofConfirmed Proof = "confirmed" // the API said that there is no more, twice, to different requests
)

// Checkpoint is the durable state of a shard: its row in ingestion_shards, the only truth about progress.
type Checkpoint struct {
	ID            int64 // of the row
	Shard         int   // number in the round: of the planned windows 1 is the oldest; pieces of a split are counted on
	Parent        int64 // row of the shard that it was split from; 0: a planned window
	Window        Window
	Seq           int64 // batches committed: the fence of Commit
	Cursor        string
	CursorExpires time.Time
	Resume        Key
	Counts        Counts
	Proof         Proof
	State         State
	Attempts      int
	LastError     string
}

// Place returns where reading goes on. A walk that got beyond the window's end asks from there.
func (c *Checkpoint) Position() Position {
	return Position{End: c.Window.End, Resume: c.Resume, Cursor: c.Cursor, CursorExpires: c.CursorExpires}
}

// Compare orders checkpoints newest window first, the order in which they are started.
func NewestFirst(a, b Checkpoint) int { return cmp.Compare(b.Window.Start, a.Window.Start) }

// Batch is consecutive pages of a shard that are committed together.
type Batch struct {
	From    Checkpoint // what they start from; From.ID, From.Seq and From.Window are compared with the row
	Pages   [][]Event  // the events of each page, in the API's order
	Rejects []Reject
	// Seen is what the shard counted itself: Received, OutOfWindow, OutOfOrder, and as Duplicates the records it dropped
	// because it had them. What became of Events and Rejects the Sink adds to that.
	Seen Counts

	// What the row says after the batch.
	Cursor        string
	CursorExpires time.Time
	Resume        Key
	Proof         Proof // not empty: the shard is done

	// Split lists the windows that are cut off the older end of this shard's, oldest first. They become shards of their own,
	// and its own window begins where the last of them ends.
	Split []Window

	grant int64 // bytes of the memory budget that its pages hold
}

// start returns where the shard's window starts after the batch.
func (b *Batch) start() Instant {
	if n := len(b.Split); n > 0 {
		return b.Split[n-1].End
	}
	return b.From.Window.Start
}

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
	b.Cursor, b.CursorExpires, b.Resume, b.Proof = next.Cursor, next.CursorExpires, next.Resume, next.Proof
	b.grant += next.grant
}
