package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"sluice/shard"
)

// fakeLedger is a database in memory: the rows, and the checkpoints with their fence. Like the real one it commits a batch with
// its checkpoint or not at all, and checks that the counts add up.
type fakeLedger struct {
	Latency  time.Duration // of a commit
	OnLoad   func() error
	OnFail   func() error
	OnBegin  func(cp shard.Checkpoint) error
	OnCommit func(ctx context.Context, b shard.Batch) error // an error means that nothing is stored

	mu      sync.Mutex
	rows    map[int]bool // numbers of the events
	shards  map[int64]*shard.Checkpoint
	begins  []begun
	commits []committed
	notes   []note
}

type begun struct {
	at    time.Time
	shard int
	ok    bool
}

type committed struct {
	at    time.Time
	shard int
	rows  int
}

// note is a call of Fail.
type note struct {
	at      time.Time
	shard   int
	state   shard.State
	message string
}

var errLaw = errors.New("the counts do not add up")

func newLedger(windows []shard.Window) *fakeLedger {
	l := &fakeLedger{rows: map[int]bool{}, shards: map[int64]*shard.Checkpoint{}}
	for i, w := range windows {
		l.shards[int64(i+1)] = &shard.Checkpoint{ID: int64(i + 1), Shard: i + 1, Window: w, State: shard.Pending}
	}
	return l
}

func (l *fakeLedger) Load(ctx context.Context) ([]shard.Checkpoint, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if l.OnLoad != nil {
		if err := l.OnLoad(); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []shard.Checkpoint
	for _, id := range slices.Sorted(maps.Keys(l.shards)) {
		all = append(all, *l.shards[id])
	}
	return all, nil
}

func (l *fakeLedger) Begin(ctx context.Context, id int64) (shard.Checkpoint, error) {
	if ctx.Err() != nil {
		return shard.Checkpoint{}, context.Cause(ctx)
	}
	cp := l.row(id)
	if l.OnBegin != nil {
		if err := l.OnBegin(cp); err != nil {
			l.began(cp.Shard, false)
			return shard.Checkpoint{}, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	row := l.shards[id]
	if row == nil {
		return shard.Checkpoint{}, errGone
	}
	if row.State == shard.Done {
		return shard.Checkpoint{}, fmt.Errorf("row %d is done: %w", id, shard.ErrStale)
	}
	row.State = shard.Running
	row.Attempts++
	l.begins = append(l.begins, begun{time.Now(), row.Shard, true})
	return *row, nil
}

func (l *fakeLedger) Fail(ctx context.Context, id int64, state shard.State, message string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if l.OnFail != nil {
		if err := l.OnFail(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	row := l.shards[id]
	l.notes = append(l.notes, note{time.Now(), row.Shard, state, message})
	if row.State != shard.Done {
		row.State, row.LastError = state, message
	}
	return nil
}

func (l *fakeLedger) Commit(ctx context.Context, b shard.Batch) (shard.Counts, error) {
	if err := shard.Sleep(ctx, l.Latency); err != nil {
		return shard.Counts{}, err
	}
	if l.OnCommit != nil {
		if err := l.OnCommit(ctx, b); err != nil {
			return shard.Counts{}, err
		}
	}
	return l.land(b)
}

// land is a commit without faults.
func (l *fakeLedger) land(b shard.Batch) (shard.Counts, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	row := l.shards[b.From.ID]
	if row.Seq != b.From.Seq || row.State == shard.Done {
		return shard.Counts{}, shard.ErrStale
	}
	counts := l.store(&b)
	if counts.Received != counts.Events+counts.Duplicates+counts.OutOfWindow+counts.DeadLetters {
		return shard.Counts{}, fmt.Errorf("%w: %+v", errLaw, counts)
	}
	row.Seq++
	row.Counts = row.Counts.Add(counts)
	row.Cursor, row.CursorExpires, row.Resume, row.Proof = b.Cursor, b.CursorExpires, b.Resume, b.Proof
	if b.Proof != "" {
		row.State = shard.Done
	}
	for _, w := range b.Split {
		id := int64(len(l.shards) + 1)
		l.shards[id] = &shard.Checkpoint{ID: id, Shard: int(id), Parent: row.ID, Window: w, State: shard.Pending}
		row.Window.Start = w.End
	}
	l.commits = append(l.commits, committed{time.Now(), row.Shard, b.Rows()})
	return counts, nil
}

// store keeps new events, as a table with a key does.
func (l *fakeLedger) store(b *shard.Batch) shard.Counts {
	counts := b.Seen
	counts.DeadLetters += int64(len(b.Rejects))
	for e := range b.Events() {
		if k := numberOf(e.ID); l.rows[k] {
			counts.Duplicates++
		} else {
			l.rows[k] = true
			counts.Events++
		}
	}
	return counts
}

func (l *fakeLedger) began(shard int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begins = append(l.begins, begun{time.Now(), shard, ok})
}

func (l *fakeLedger) row(id int64) shard.Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shards[id] == nil {
		return shard.Checkpoint{}
	}
	return *l.shards[id]
}

// forget removes a row, as a database does that went back in time.
func (l *fakeLedger) forget(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.shards, id)
}

// edit changes a row before the run, to set a scene.
func (l *fakeLedger) edit(id int64, change func(*shard.Checkpoint)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l.shards[id])
}

// stored returns how many rows the table has.
func (l *fakeLedger) stored() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.rows)
}

// tries returns when the attempts of a shard began, refused ones too.
func (l *fakeLedger) tries(number int) []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []time.Time
	for _, b := range l.begins {
		if b.shard == number {
			all = append(all, b.at)
		}
	}
	return all
}

// noted returns the calls of Fail for a shard.
func (l *fakeLedger) noted(number int) []note {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.notes), func(n note) bool { return n.shard != number })
}

// doneAt returns when the last commit of a shard was made.
func (l *fakeLedger) doneAt(number int) (last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.commits {
		if c.shard == number {
			last = c.at
		}
	}
	return last
}
