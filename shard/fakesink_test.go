package shard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
)

// sinkFaults are probabilities per commit.
type sinkFaults struct {
	Stale   float64 // another process moves the row first
	Before  float64 // an error, and nothing is stored
	Unknown float64 // an error, although everything is stored
}

// table is the database: rows, dead letters, checkpoints. It checks each commit, and keeps the first fault it finds.
type table struct {
	known   map[uuid.UUID]record // all records of the API
	Latency time.Duration
	Faults  sinkFaults
	Rand    *rand.Rand
	Step    func()
	Check   func(*table, *Checkpoint) error // after each commit

	mu     sync.Mutex
	rows   map[uuid.UUID]Instant // and dead letters, of records that show the id of another
	dead   map[[32]byte]bool
	shards map[int64]*Checkpoint
	twice  int // records that were there already
	wrong  error
}

var errWire = errors.New("the connection was lost")

func newTable(shards []Checkpoint, records []record) *table {
	t := &table{
		known: map[uuid.UUID]record{}, rows: map[uuid.UUID]Instant{}, dead: map[[32]byte]bool{},
		shards: map[int64]*Checkpoint{},
	}
	for _, r := range records {
		t.known[r.ID] = r
	}
	for _, c := range shards {
		t.shards[c.ID] = &c
	}
	return t
}

// Load returns the row of a shard.
func (t *table) Load(id int64) Checkpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	return *t.shards[id]
}

func (t *table) Commit(ctx context.Context, b Batch) (Counts, error) {
	if t.Step != nil {
		t.Step()
	}
	if !sleep(ctx, t.Latency+time.Duration(1000+t.Rand.IntN(1000))*time.Nanosecond) {
		return Counts{}, context.Cause(ctx)
	}
	switch dice := t.Rand.Float64(); {
	case dice < t.Faults.Stale:
		t.mu.Lock()
		defer t.mu.Unlock()
		t.shards[b.From.ID].Seq++
		return Counts{}, ErrStale
	case dice < t.Faults.Stale+t.Faults.Before:
		return Counts{}, &TransientError{Err: errWire}
	case dice < t.Faults.Stale+t.Faults.Before+t.Faults.Unknown:
		if _, err := t.apply(b); err != nil {
			return Counts{}, err
		}
		return Counts{}, &TransientError{Err: errWire}
	}
	return t.apply(b)
}

// apply is the transaction.
func (t *table) apply(b Batch) (Counts, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := t.shards[b.From.ID]
	if row.Seq != b.From.Seq {
		return Counts{}, ErrStale
	}
	t.judge(&b, row)
	counts := t.store(&b)
	row.Seq++
	row.Counts = row.Counts.Add(counts)
	row.Cursor, row.CursorExpires, row.Resume, row.Proof = b.Cursor, b.CursorExpires, b.Resume, b.Proof
	if t.Check != nil {
		t.fail(t.Check(t, row))
	}
	return counts, t.wrong
}

// judge checks what every batch promises.
func (t *table) judge(b *Batch, row *Checkpoint) {
	if row.Proof != "" {
		t.fail(fmt.Errorf("shard %d: a batch after the proof of the end", row.ID))
	}
	sum := int64(b.Rows()+len(b.Rejects)) + b.Seen.Duplicates + b.Seen.OutOfWindow
	if b.Seen.Received != sum || b.Seen.Events != 0 || b.Seen.DeadLetters != 0 {
		t.fail(fmt.Errorf("shard %d: %+v does not fit %d events and %d rejects", row.ID, b.Seen, b.Rows(), len(b.Rejects)))
	}
	if b.Seen.OutOfOrder > int64(b.Rows()) || min(b.Seen.Duplicates, b.Seen.OutOfWindow, b.Seen.OutOfOrder) < 0 {
		t.fail(fmt.Errorf("shard %d: impossible counts %+v", row.ID, b.Seen))
	}
	for e := range b.Events() {
		if r, ok := t.known[e.Session]; !ok || r.Bad || r.event() != *e {
			t.fail(fmt.Errorf("shard %d: event %s at %s was never served like that", row.ID, e.ID, e.At))
		}
	}
}

// store keeps new records, as a table with a key does.
func (t *table) store(b *Batch) Counts {
	counts := b.Seen
	for e := range b.Events() {
		if _, there := t.rows[e.Session]; there {
			counts.Duplicates++
			t.twice++
			continue
		}
		t.rows[e.Session] = e.At
		counts.Events++
	}
	for _, r := range b.Rejects {
		if t.dead[r.SHA256] {
			counts.Duplicates++
			continue
		}
		t.dead[r.SHA256] = true
		counts.DeadLetters++
	}
	if counts.Received != counts.Events+counts.Duplicates+counts.OutOfWindow+counts.DeadLetters {
		t.fail(fmt.Errorf("shard %d: the counts do not add up: %+v", b.From.ID, counts))
	}
	return counts
}

func (t *table) fail(err error) {
	if t.wrong == nil && err != nil {
		t.wrong = err
	}
}
