package memstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// ErrGone: the ledger has lost a shard. No attempt can fix that.
var ErrGone = errors.New("the row is gone from ingestion_shards")

// Load implements ledger.Store.
func (s *Store) Load(ctx context.Context, jobID int64) (all []shard.Checkpoint, err error) {
	err = s.do(ctx, "load", 0, func(t *Tables) error {
		if j := t.jobOf(jobID); j != nil {
			for _, sh := range t.Round(jobID, j.Round) {
				all = append(all, sh.Checkpoint)
			}
		}
		return nil
	})
	return all, err
}

// Shards implements ledger.Store.
func (s *Store) Shards(jobID int64, lateBefore shard.Instant) ledger.Shards {
	return &round{s, jobID, lateBefore}
}

// round is one round of a job.
type round struct {
	*Store
	jobID      int64
	lateBefore shard.Instant
}

func (r *round) Load(ctx context.Context) ([]shard.Checkpoint, error) {
	return r.Store.Load(ctx, r.jobID)
}

func (r *round) Begin(ctx context.Context, id int64) (cp shard.Checkpoint, err error) {
	err = r.do(ctx, "begin", id, func(t *Tables) error {
		sh := t.Shard(id)
		switch {
		case sh == nil:
			return fmt.Errorf("begin shard row %d: %w", id, ErrGone)
		case sh.State == shard.Done || sh.Run != "" && sh.Run != r.run:
			return fmt.Errorf("begin shard row %d: %w", id, shard.ErrStale)
		}
		sh.State, sh.Run = shard.Running, r.run
		sh.Attempts++
		cp = sh.Checkpoint
		return nil
	})
	return cp, err
}

func (r *round) Fail(ctx context.Context, id int64, state shard.State, message string) error {
	return r.do(ctx, "fail", id, func(t *Tables) error {
		if sh := t.Shard(id); sh != nil && sh.Run == r.run && sh.State != shard.Done {
			sh.State, sh.LastError = state, message
		}
		return nil
	})
}

// Commit tries until the batch is in, or ctx ends.
func (r *round) Commit(ctx context.Context, b shard.Batch) (shard.Counts, error) {
	if n := int64(b.Rows()+len(b.Rejects)) + b.Seen.Duplicates + b.Seen.OutOfWindow; n != b.Seen.Received {
		return shard.Counts{}, fmt.Errorf("batch after seq %d of shard %d counts %d records received, but holds %d", b.From.Seq, b.From.ID,
			b.Seen.Received, n)
	}
	c := &commit{round: r, batch: &b}
	for try := 0; ; try++ {
		err := c.attempt(ctx)
		var transient *shard.TransientError
		if err == nil || !errors.As(err, &transient) {
			return c.counts, err
		}
		if err := shard.Sleep(ctx, min(5*time.Second, 100*time.Millisecond<<min(try, 10))); err != nil {
			return shard.Counts{}, err
		}
	}
}

// commit is a batch on its way into the database, over as many attempts as it takes.
type commit struct {
	*round
	batch  *shard.Batch
	sent   bool // a COMMIT was sent, and its answer did not come back
	counts shard.Counts
}

func (c *commit) attempt(ctx context.Context) error {
	st := &Statement{Name: "commit", Shard: c.batch.From.ID, Land: func() {
		c.db.mu.Lock()
		defer c.db.mu.Unlock()
		_, _ = c.land()
	}}
	if err := c.send(ctx, st); err != nil {
		c.sent = c.sent || st.Unknown
		return err
	}
	c.db.mu.Lock()
	known, err := c.land()
	c.db.mu.Unlock()
	if err != nil || known || c.wire == nil {
		return err
	}
	if err = c.wire.Answer(st); err != nil {
		c.sent = true
	}
	return err
}

// land is the transaction. known says that the batch is in already, by the attempt before.
func (c *commit) land() (known bool, err error) {
	t, b := &c.db.tables, c.batch
	sh := t.Shard(b.From.ID)
	switch {
	case sh == nil:
		return false, fmt.Errorf("shard row %d is gone: %w", b.From.ID, shard.ErrStale)
	case sh.Run == c.run && sh.Seq == b.From.Seq && sh.Window == b.From.Window:
	case c.sent && sh.Run == c.run && sh.Seq == b.From.Seq+1 && sh.Window.End == b.From.Window.End:
		return true, nil
	default:
		return false, fmt.Errorf("shard row %d is at seq %d, not %d, taken by another run, or of another window: %w", b.From.ID, sh.Seq,
			b.From.Seq, shard.ErrStale)
	}
	c.sent = false
	landed := func(shard.Counts) {}
	if c.db.Landing != nil {
		landed = c.db.Landing(t, b, sh)
	}
	c.counts = c.store(t, sh)
	sh.Seq++
	sh.Counts = sh.Counts.Add(c.counts)
	sh.Cursor, sh.CursorExpires, sh.Resume, sh.Proof, sh.LastError = b.Cursor, b.CursorExpires, b.Resume, b.Proof, ""
	if b.Proof != "" {
		sh.State = shard.Done
	}
	if len(b.Newer) > 0 {
		sh.Newer = b.Newer
	}
	if len(b.Older) > 0 {
		sh.Older = b.Older
	}
	t.split(sh, b.Split)
	landed(c.counts)
	return false, nil
}

// store stores what is new, and returns what became of every record.
func (c *commit) store(t *Tables, sh *Shard) shard.Counts {
	counts, rejects := c.batch.Seen, slices.Clone(c.batch.Rejects)
	for e := range c.batch.Events() {
		switch row := t.Events[e.ID]; {
		case refuses(e) != "":
			rejects = append(rejects, rejectOf(e, "refused", refuses(e)))
		case row == nil:
			t.Events[e.ID] = &Event{*e, sh.ID}
			counts.Events++
			if c.lateBefore != 0 && e.At < c.lateBefore {
				sh.Late.Add(c.lateBefore.Sub(e.At))
			}
		case row.Event == *e:
			counts.Duplicates++
		default:
			rejects = append(rejects, rejectOf(e, "conflict", "the id is stored with other content"))
		}
	}
	slices.SortStableFunc(rejects, func(a, b shard.Reject) int { return bytes.Compare(a.SHA256[:], b.SHA256[:]) })
	for i := range rejects {
		r := &rejects[i]
		if t.isDead(sh.JobID, r.SHA256[:]) {
			counts.Duplicates++
			if r.EventID == "" {
				sh.DeadDuplicates++
			}
			continue
		}
		counts.DeadLetters++
		t.DeadLetters = append(t.DeadLetters, &DeadLetter{JobID: sh.JobID, ShardID: sh.ID, DeadLetter: ledger.DeadLetter{
			ID: t.nextID(), Shard: sh.Shard, Seq: sh.Seq + 1, SHA256: bytes.Clone(r.SHA256[:]), Raw: bytes.Clone(r.Raw), RawBytes: int64(r.RawBytes),
			EventID: r.EventID, Reason: r.Reason, Detail: r.Detail, Endpoint: cmp.Or(string(r.Endpoint), "none"), ReceivedAt: c.db.Now(),
		}})
	}
	return counts
}

func (t *Tables) isDead(jobID int64, sum []byte) bool {
	return slices.ContainsFunc(t.DeadLetters, func(d *DeadLetter) bool { return d.JobID == jobID && bytes.Equal(d.SHA256, sum) })
}

// maxType is the length of the column type, in characters.
const maxType = 50

// refuses returns why the table of events refuses one, as far as the model goes; empty if it does not.
func refuses(e *shard.Event) string {
	if utf8.RuneCountInString(e.Type) > maxType {
		return fmt.Sprintf("value too long for type character varying(%d)", maxType)
	}
	for _, text := range [...]string{e.Type, e.Name, e.Properties, e.Device, e.Browser} {
		if strings.IndexByte(text, 0) >= 0 {
			return "text holds a zero byte"
		}
	}
	return ""
}

// rejectOf makes a reject of an event that cannot become a row.
func rejectOf(e *shard.Event, reason, detail string) shard.Reject {
	raw, _ := json.Marshal(e) // it has no way to fail
	return shard.Reject{Raw: raw, RawBytes: len(raw), SHA256: sha256.Sum256(raw), EventID: e.ID.String(), Reason: reason, Detail: detail}
}

// split writes down the pieces that a batch cuts off its shard's window.
func (t *Tables) split(sh *Shard, pieces []shard.Window) {
	number := 0
	for _, o := range t.Round(sh.JobID, sh.Round) {
		number = max(number, o.Shard)
	}
	for i, w := range pieces {
		t.Shards = append(t.Shards, &Shard{JobID: sh.JobID, Round: sh.Round, Run: sh.Run, Checkpoint: shard.Checkpoint{
			ID: t.nextID(), Shard: number + 1 + i, Parent: sh.ID, Window: w, State: shard.Pending,
		}})
		sh.Window.Start = w.End
	}
}

// Reopen implements ledger.Store.
func (s *Store) Reopen(ctx context.Context, jobID int64, choose func(ledger.Audit) ledger.Reopening) error {
	return s.do(ctx, "reopen", 0, func(t *Tables) error {
		a, err := t.audit(jobID)
		if err != nil {
			return err
		}
		r := choose(a)
		t.jobOf(jobID).RowsBefore = r.RowsBefore
		for _, sh := range t.Shards {
			if r.Accepted && sh.JobID == jobID {
				sh.Expected, sh.Verified, sh.Newer, sh.Older = nil, 0, nil, nil
			}
		}
		for _, change := range r.Shards {
			s.reopen(t.Shard(change.ID), change)
		}
		for _, fill := range r.Filled {
			s.fill(t, jobID, fill)
		}
		for _, d := range t.DeadLetters {
			if t.revived(d, jobID) {
				d.ReplayedAt, d.ReplayedAs = time.Time{}, uuid.Nil
				for _, sh := range t.Shards { // the window of its row is not known
					if sh.JobID == jobID {
						sh.Verified = 0
					}
				}
			}
		}
		return nil
	})
}

func (s *Store) fill(t *Tables, jobID int64, f ledger.Filled) {
	sh := &Shard{JobID: jobID, Round: f.Round, Run: s.run, Expected: f.Expected, Checkpoint: shard.Checkpoint{
		ID: t.nextID(), Shard: 1, Window: f.Window, Counts: shard.Counts{Received: f.Events, Events: f.Events}, State: shard.Suspect, Reopened: 1,
	}}
	if f.Finished {
		sh.State, sh.Proof = shard.Done, shard.ProofConfirmed
	}
	for _, o := range t.Round(jobID, f.Round) {
		sh.Shard = max(sh.Shard, o.Shard+1)
	}
	t.Shards = append(t.Shards, sh)
}

func (s *Store) reopen(sh *Shard, r ledger.Reopened) {
	sh.Counts.Received += r.Events - sh.Counts.Events + r.Revived
	sh.Counts.Events = r.Events
	sh.Counts.DeadLetters += r.Revived
	if r.Expected != nil {
		sh.Expected = r.Expected
	}
	if !r.Walk {
		return
	}
	sh.Verified = 0
	sh.State, sh.Run, sh.Proof = shard.Suspect, s.run, ""
	sh.Seq++
	sh.Reopened++
	sh.Cursor, sh.CursorExpires, sh.Resume = "", time.Time{}, shard.Key{}
}
