// Package memstore is a [ledger.Store] in memory, for tests: the model of package sink. It keeps everything that the tables keep,
// under the same fence of seq, run and window, with the same counts; package ledgertest holds the two against each other.
//
// A [Database] is the server. [Database.Open] returns the store of one process, whose statements go over a [Wire]: a test makes
// them slow there, loses them, or loses their answers. [Database.Look] shows the tables, and lets a test change them by hand.
package memstore

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Database is the server: its tables, its quotas and its locks.
type Database struct {
	// Now is the server's clock; default time.Now.
	Now func() time.Time
	// Landing is called for every commit that lands, before and after its transaction. It may look at the tables, and must not
	// call the database.
	Landing func(t *Tables, b *shard.Batch, s *Shard) (landed func(shard.Counts))

	mu     sync.Mutex
	tables Tables
	quotas map[quotaKey]*quotaRow // a failover keeps them: they belong to the source more than to the data
	locks  map[string]*Store      // who holds a job
}

// New returns an empty database.
func New() *Database {
	return &Database{
		Now: time.Now, tables: Tables{Events: map[uuid.UUID]*Event{}}, quotas: map[quotaKey]*quotaRow{}, locks: map[string]*Store{},
	}
}

// Tables is everything that a commit can change.
type Tables struct {
	Jobs        []*Job
	Shards      []*Shard // of all jobs and rounds, in the order of their ids
	Events      map[uuid.UUID]*Event
	DeadLetters []*DeadLetter // in the order of their ids
	Findings    []ledger.Finding
	changes     int   // how often Delete was called
	lastID      int64 // given to a row of any table
}

// Job is a row of ingestion_jobs.
type Job struct {
	ledger.Job
	rounds []*ledger.Round // Counts and Late are not kept but summed up
	doubts []ledger.Doubt  // in the order in which they were raised
	state  string          // of the table, when it was verified
}

// Shard is a row of ingestion_shards.
type Shard struct {
	shard.Checkpoint
	JobID          int64
	Round          int
	Run            string // that has claimed it last; empty if none has
	DeadDuplicates int64  // of the duplicates: rejects without a readable id, known byte for byte
	Expected       *int64 // as in ledger.AuditWindow, and so is Verified
	Verified       int64
	Late           ledger.Late
	Newer, Older   []shard.Event // witnesses
}

// Event is a row of ingested_events.
type Event struct {
	shard.Event
	By int64 // row of the shard that stored it; 0 if it was not ours
}

// DeadLetter is a row of dead_letters.
type DeadLetter struct {
	ledger.DeadLetter
	JobID, ShardID int64
	ReplayedAs     uuid.UUID // the event that was stored when it was replayed
}

// Look calls f with the tables, which nothing changes meanwhile but f.
func (d *Database) Look(f func(*Tables)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.tables)
}

// Snapshot returns a copy of the tables, such as a standby has.
func (t *Tables) Snapshot() Tables {
	c := Tables{
		Events: maps.Clone(t.Events), Findings: slices.Clone(t.Findings), changes: t.changes, lastID: t.lastID,
		Shards: copies(t.Shards), DeadLetters: copies(t.DeadLetters), Jobs: copies(t.Jobs),
	}
	for _, j := range c.Jobs {
		j.rounds, j.doubts = copies(j.rounds), slices.Clone(j.doubts)
	}
	return c
}

func copies[T any](rows []*T) []*T {
	all := make([]*T, len(rows))
	for i, r := range rows {
		row := *r
		all[i] = &row
	}
	return all
}

// Restore goes on with another copy of the tables: a failover to a standby that was behind. Whoever holds a lock takes it anew
// there, and with it the shards.
func (d *Database) Restore(t Tables) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tables = t
	for job, s := range d.locks {
		d.claim(job, s.run)
	}
}

func (t *Tables) nextID() int64 {
	t.lastID++
	return t.lastID
}

// Shard returns the row of an id; nil if there is none.
func (t *Tables) Shard(id int64) *Shard {
	i, found := slices.BinarySearchFunc(t.Shards, id, func(s *Shard, id int64) int { return cmp.Compare(s.ID, id) })
	if !found {
		return nil
	}
	return t.Shards[i]
}

// Job returns the job of a name; nil if there is none.
func (t *Tables) Job(name string) *Job {
	for _, j := range t.Jobs {
		if j.Name == name {
			return j
		}
	}
	return nil
}

func (t *Tables) jobOf(id int64) *Job {
	for _, j := range t.Jobs {
		if j.ID == id {
			return j
		}
	}
	return nil
}

// Round returns the shards of one round of a job, oldest window first.
func (t *Tables) Round(jobID int64, round int) []*Shard {
	var all []*Shard
	for _, s := range t.Shards {
		if s.JobID == jobID && s.Round == round {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *Shard) int { return cmp.Compare(a.Window.Start, b.Window.Start) })
	return all
}

// Delete removes the events for which gone is true, behind the ledger's back, and returns how many there were.
func (t *Tables) Delete(gone func(*Event) bool) (n int) {
	t.changes++
	for id, e := range t.Events {
		if gone(e) {
			delete(t.Events, id)
			n++
		}
	}
	return n
}
