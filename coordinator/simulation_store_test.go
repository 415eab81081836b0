package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/shard"
)

var (
	errWire      = errors.New("the connection to the database was lost")
	errGone      = errors.New("the row is gone")
	errPermanent = errors.New("permission denied for table ingested_events")
)

// row is a shard in the ledger.
type row struct {
	shard.Checkpoint
	run            int // that has claimed it last
	deadDuplicates int64
}

// database is the store as one process sees it. It does what sink does: a commit is one transaction under a fence of seq and
// run, faults that pass are ridden out, and what is not known after a COMMIT is found out before anything is sent again.
type database struct {
	*simulation
	p *process
}

// statement waits for the turn of one statement, and returns its name for the log, which is empty if it had no turn, and what
// becomes of it: errWire if it never came to the database.
func (d *database) statement(ctx context.Context, what string, id int64, last func()) (string, error) {
	name := fmt.Sprintf("p%d shard %d %s", d.p.number, id, what)
	if d.p.isDead() {
		return "", errDead
	}
	if err := d.stage.enter(ctx, &entrance{name: name, of: d.p, most: d.sinkTook, last: last}); err != nil {
		return "", err
	}
	switch {
	case d.p.isDead():
		return name, errDead
	case d.storeAway():
		d.say("%s: the database is away", name)
		return name, errWire
	}
	return name, nil
}

func (d *database) Load(ctx context.Context) ([]shard.Checkpoint, error) {
	name, err := d.statement(ctx, "load", 0, nil)
	if err == nil && d.weather.strikes(badLedger) {
		err = errWire
	}
	d.say("%s: %v", name, err)
	if err != nil {
		return nil, d.ledgerError(ctx, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []shard.Checkpoint
	for _, r := range d.rows {
		all = append(all, r.Checkpoint)
	}
	return all, nil
}

// ledgerError says of what passes by itself that it does, as sink's does.
func (d *database) ledgerError(ctx context.Context, err error) error {
	if errors.Is(err, errWire) {
		return &shard.TransientError{Err: err}
	}
	return err
}

func (d *database) Begin(ctx context.Context, id int64) (shard.Checkpoint, error) {
	name, err := d.statement(ctx, "begin", id, nil)
	fault := err == nil && d.weather.strikes(badLedger)
	if fault && d.weather.dice.IntN(2) == 0 {
		err = errWire // before anything was done
	}
	if err != nil {
		d.say("%s: %v", name, err)
		return shard.Checkpoint{}, d.ledgerError(ctx, err)
	}
	d.mu.Lock()
	r := d.row(id)
	if r.ID == 0 {
		d.mu.Unlock()
		d.say("%s: gone", name)
		return shard.Checkpoint{}, errGone
	}
	stale := r.State == shard.Done || r.run != d.p.number
	if !stale {
		r.State = shard.Running
		r.Attempts++
	}
	cp := r.Checkpoint
	d.mu.Unlock()
	d.say("%s: seq %d, resume %s, cursor %t, %s", name, cp.Seq, cp.Resume.At, cp.Cursor != "", cp.State)
	switch {
	case fault:
		return shard.Checkpoint{}, d.ledgerError(ctx, errWire)
	case stale:
		return shard.Checkpoint{}, fmt.Errorf("shard %d is done, or taken by another run: %w", id, shard.ErrStale)
	}
	return cp, nil
}

func (d *database) Fail(ctx context.Context, id int64, state shard.State, msg string) error {
	name, err := d.statement(ctx, "fail", id, nil)
	if err == nil && d.weather.strikes(badLedger) {
		err = errWire
	}
	d.say("%s: %s, %.80s: %v", name, state, msg, err)
	if err != nil {
		return d.ledgerError(ctx, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.row(id); r.run == d.p.number && r.State != shard.Done {
		r.State, r.LastError = state, msg
	}
	return nil
}

// Commit tries until the batch is in, or ctx ends.
func (d *database) Commit(ctx context.Context, b shard.Batch) (shard.Counts, error) {
	c := &commitment{database: d, batch: &b}
	for try := 0; ; try++ {
		last := func() { _, _ = c.land() }
		name, err := d.statement(ctx, "commit", b.From.ID, last)
		if err == nil {
			err = c.try(name)
		}
		switch {
		case err == nil:
			return c.counts, nil
		case !errors.Is(err, errWire):
			d.say("%s %d: %v", name, b.From.Seq, err)
			return shard.Counts{}, err
		}
		if err := shard.Sleep(ctx, between(d.weather.dice, 100*time.Millisecond, 5*time.Second)); err != nil {
			return shard.Counts{}, err
		}
	}
}

// commitment is a batch on its way into the database.
type commitment struct {
	*database
	batch  *shard.Batch
	sent   bool // a COMMIT was sent, and its answer did not come back
	counts shard.Counts
}

func (c *commitment) try(name string) error {
	switch {
	case c.weather.strikes(badPermanent):
		return errPermanent
	case c.weather.strikes(badFailover):
		c.failover(name)
		return errWire
	case c.weather.strikes(badRefused):
		c.say("%s %d: refused", name, c.batch.From.Seq)
		return errWire
	}
	moved, err := c.fenced()
	switch {
	case err != nil:
		return err
	case moved: // by the try before
		c.say("%s %d: had landed", name, c.batch.From.Seq)
		return nil
	}
	c.sent = false
	if c.weather.strikes(badUnlanded) {
		c.say("%s %d: lost on the way", name, c.batch.From.Seq)
		c.sent = true
		return errWire
	}
	counts, err := c.land()
	c.say("%s %d: %d events, %d rejects, %+v, resume %s, cursor %t, proof %q, split %v", name, c.batch.From.Seq, c.batch.Rows(),
		len(c.batch.Rejects), counts, c.batch.Resume.At, c.batch.Cursor != "", c.batch.Proof, c.batch.Split)
	if err != nil {
		return err
	}
	c.counts = counts
	if c.weather.strikes(badUnknown) {
		c.say("%s %d: landed, but nobody heard of it", name, c.batch.From.Seq)
		c.sent = true
		return errWire
	}
	return nil
}

// fenced compares the row with the batch: landed says that the batch is in already, by the try before.
func (c *commitment) fenced() (landed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.row(c.batch.From.ID)
	ours := r.run == c.p.number
	switch {
	case ours && r.Seq == c.batch.From.Seq && r.Window == c.batch.From.Window && r.State != shard.Done:
		return false, nil
	case c.sent && ours && r.Seq == c.batch.From.Seq+1:
		return true, nil
	}
	return false, fmt.Errorf("seq %d of run %d, not %d of %d: %w", r.Seq, r.run, c.batch.From.Seq, c.p.number, shard.ErrStale)
}

// land is the transaction.
func (c *commitment) land() (shard.Counts, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.row(c.batch.From.ID)
	if r.Seq != c.batch.From.Seq || r.run != c.p.number || r.Window != c.batch.From.Window {
		return shard.Counts{}, shard.ErrStale
	}
	b := c.batch
	c.remember()
	c.checkBatch(r, b)
	counts := c.keep(r, b)
	r.Seq++
	r.Counts = r.Counts.Add(counts)
	r.Cursor, r.CursorExpires, r.Resume, r.Proof = b.Cursor, b.CursorExpires, b.Resume, b.Proof
	if b.Proof != "" {
		r.State = shard.Done
	}
	c.split(r, b.Split)
	c.commits++
	c.checkRow(r, b)
	return counts, c.wrong
}

// keep stores what is new, as tables with keys do.
func (s *simulation) keep(r *row, b *shard.Batch) shard.Counts {
	counts := b.Seen
	for e := range b.Events() {
		if _, there := s.table[e.ID]; there {
			counts.Duplicates++
			s.again++
			continue
		}
		s.table[e.ID] = r.Shard
		counts.Events++
	}
	for i := range b.Rejects {
		if s.dead[b.Rejects[i].SHA256] == nil {
			s.dead[b.Rejects[i].SHA256] = &b.Rejects[i]
			counts.DeadLetters++
			continue
		}
		counts.Duplicates++
		if b.Rejects[i].EventID == "" {
			r.deadDuplicates++
		}
	}
	return counts
}
