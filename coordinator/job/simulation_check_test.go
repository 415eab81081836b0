package job_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/coordinator/ledger/memstore"
	"sluice/shard"
)

// landing holds a batch against what every batch promises, before it lands and after.
func (s *simulation) landing(t *memstore.Tables, b *shard.Batch, sh *memstore.Shard) func(shard.Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.truth.grow()
	s.remember(t)
	s.checkBatch(sh, b)
	before := len(t.Shards)
	return func(counts shard.Counts) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.say("shard row %d seq %d: %d events, %d rejects, %+v, resume %s, cursor %t, proof %q, split %v", sh.ID, b.From.Seq, b.Rows(),
			len(b.Rejects), counts, b.Resume.At, b.Cursor != "", b.Proof, b.Split)
		s.commits++
		s.again += b.Rows() - int(counts.Events)
		for _, piece := range t.Shards[before:] {
			delete(s.reached, piece.ID)
			delete(s.lies, piece.ID)
			delete(s.began, piece.ID)
			s.splits++
		}
		for e := range b.Events() {
			delete(s.gone, e.ID)
		}
		s.checkRow(t, sh, b)
	}
}

// checkBatch holds a batch against the law of counts and the truth. (The caller holds mu, here and below.)
func (s *simulation) checkBatch(sh *memstore.Shard, b *shard.Batch) {
	sum := int64(b.Rows()+len(b.Rejects)) + b.Seen.Duplicates + b.Seen.OutOfWindow
	switch {
	case sh.Proof != "" || sh.State == shard.Done:
		s.failLocked(fmt.Errorf("shard row %d: a batch after the proof of its end", sh.ID))
	case b.Seen.Received != sum || b.Seen.Events != 0 || b.Seen.DeadLetters != 0:
		s.failLocked(fmt.Errorf("shard row %d: %+v does not fit %d events and %d rejects", sh.ID, b.Seen, b.Rows(), len(b.Rejects)))
	case min(b.Seen.Duplicates, b.Seen.OutOfWindow, b.Seen.OutOfOrder) < 0:
		s.failLocked(fmt.Errorf("shard row %d: impossible counts %+v", sh.ID, b.Seen))
	}
	for e := range b.Events() {
		s.failLocked(s.checkEvent(e))
	}
	for i := range b.Rejects {
		if k, ok := s.truth.bySum[b.Rejects[i].SHA256]; !ok && !s.foreign || string(s.truth.records[k].raw) != string(b.Rejects[i].Raw) {
			s.failLocked(fmt.Errorf("shard row %d: no record was served as %.100q", sh.ID, b.Rejects[i].Raw))
		}
	}
}

func (s *simulation) checkEvent(e *shard.Event) error {
	if s.truth.index(e) >= 0 || s.foreign && len(s.truth.byID[e.ID]) == 0 {
		return nil
	}
	return fmt.Errorf("no record was served as %+v", *e)
}

// checkRow holds after each commit: nothing is missing behind the checkpoint, and its batch has stored nothing beyond it.
func (s *simulation) checkRow(t *memstore.Tables, sh *memstore.Shard, b *shard.Batch) {
	c := sh.Counts
	if c.Received != c.Events+c.Duplicates+c.OutOfWindow+c.DeadLetters {
		s.failLocked(fmt.Errorf("shard row %d: the law is broken: %+v", sh.ID, c))
	}
	s.failLocked(s.tiled(t, sh))
	behind := s.behind(sh)
	shown := s.began[sh.ID].Add(-s.api.CacheLife)
	if s.foreign {
		return
	}
	missing := s.missing(t, sh.JobID, behind, func(r *record) bool {
		_, gone := s.gone[r.served.ID]
		return !gone && sh.Window.Contains(r.at) && sh.Window.Contains(r.Key.At) && s.arrived(r, shown)
	})
	if missing != "" {
		if sh.Proof == shard.ProofConfirmed && s.lies[sh.ID]+s.lies[0] > 1 {
			s.fooled++ // the API said twice that there is no more
		} else {
			s.failLocked(fmt.Errorf("shard row %d, seq %d, proof %q: %s is behind the checkpoint and not stored", sh.ID, sh.Seq, sh.Proof, missing))
		}
	}
	if reached, ok := s.reached[sh.ID]; !ok || behind < reached {
		s.reached[sh.ID] = behind
	}
	beyond := 0
	for e := range b.Events() {
		if k := s.truth.index(e); k < s.reached[sh.ID] && sh.Window.Contains(e.At) {
			beyond++
		}
	}
	// A page may be stored whose last records are still held back, and before an end is read again the checkpoint goes back by
	// eight records. What is read again because of it, the key removes. In a storm of lies it may be more.
	if !s.swarm && beyond > s.api.PageCap+8 {
		s.failLocked(fmt.Errorf("shard row %d, seq %d: %d events are stored beyond the checkpoint", sh.ID, sh.Seq, beyond))
	}
}

// arrived reports whether the source showed a record at an instant. Everything of the history was there from the beginning.
func (s *simulation) arrived(r *record, at time.Time) bool {
	return !r.arrives.After(at) || !r.arrives.After(s.api.Newest)
}

// tiled reports how the windows of a shard's round do not tile its span.
func (s *simulation) tiled(t *memstore.Tables, of *memstore.Shard) error {
	all := t.Round(of.JobID, of.Round)
	edge := all[0].Window.Start
	if of.Round == 1 {
		edge = s.spanOf(t, of.JobID).Start
	}
	for _, sh := range all {
		if sh.Window.Start != edge || sh.Window.End <= edge {
			for _, j := range t.Jobs {
				if j.ID == of.JobID && s.crippled[j.Name] {
					return nil
				}
			}
			return fmt.Errorf("the windows do not tile the span at %s: shard %d has %s", edge, sh.Shard, sh.Window)
		}
		edge = sh.Window.End
	}
	if end := s.spanOf(t, of.JobID).End; edge != end && len(s.crippled) == 0 {
		return fmt.Errorf("no window after %s", edge)
	}
	return nil
}

func (s *simulation) spanOf(t *memstore.Tables, jobID int64) shard.Window {
	for _, j := range t.Jobs {
		if j.ID == jobID {
			return j.Span
		}
	}
	return ledger.Everything
}

// behind returns the index from which on all records lie behind a checkpoint.
func (s *simulation) behind(sh *memstore.Shard) int {
	n := len(s.truth.records)
	if !sh.Resume.IsZero() {
		n = s.truth.behind(sh.Resume)
	}
	if at, id, err := readCursor(sh.Cursor); err == nil {
		n = min(n, s.truth.behind(shard.Key{At: shard.Instant(at * 1000), ID: id}))
	}
	if sh.Proof != "" {
		n = 0
	}
	return n
}

// missing names a record, from an index on, that is neither a row nor a dead letter of the job, and that counts.
func (s *simulation) missing(t *memstore.Tables, jobID int64, from int, counts func(*record) bool) string {
	var dead map[[32]byte]bool
	for i := range s.truth.records[from:] {
		switch r := &s.truth.records[from+i]; {
		case s.isRow(t, r) || !counts(r):
		case dead == nil:
			dead = deadOf(t, jobID)
			fallthrough
		default:
			if !dead[r.sum] {
				return fmt.Sprintf("record %s at %s, malformed %t", r.Key.ID, r.at, r.raw != nil)
			}
		}
	}
	return ""
}

// isRow reports whether the table has a record: of several that show the same id, only one.
func (s *simulation) isRow(t *memstore.Tables, r *record) bool {
	row := t.Events[r.served.ID]
	return row != nil && (row.Event == r.served || r.raw != nil || len(s.truth.byID[r.served.ID]) < 2)
}

// deadOf returns the hashes of a job's dead letters.
func deadOf(t *memstore.Tables, jobID int64) map[[32]byte]bool {
	all := map[[32]byte]bool{}
	for _, d := range t.DeadLetters {
		if d.JobID == jobID {
			all[[32]byte(d.SHA256)] = true
		}
	}
	return all
}

// owed is the promise: everything of a job's span that the source showed at an instant, from an event time on, is in the table
// once or in dead_letters, unless it was deleted by hand after the rows were counted.
func (s *simulation) owed(job string, shown time.Time, from shard.Instant, counted time.Time) (err error) {
	s.db.Look(func(t *memstore.Tables) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.truth.grow()
		j := t.Job(job)
		if j == nil {
			err = fmt.Errorf("there is no job %s", job)
			return
		}
		shown = shown.Add(-s.api.CacheLife)
		missing := s.missing(t, j.ID, 0, func(r *record) bool {
			return j.Span.Contains(r.at) && r.at >= from && s.arrived(r, shown) && !s.gone[r.served.ID].After(counted)
		})
		if missing != "" {
			err = fmt.Errorf("%s is not stored", missing)
		}
	})
	return err
}

// exact reports how the tables differ from the source, and from the ledger.
func (s *simulation) exact(job string) error {
	if err := s.owed(job, time.Now(), shard.Past, time.Now()); err != nil {
		return err
	}
	var err error
	s.db.Look(func(t *memstore.Tables) {
		s.mu.Lock()
		defer s.mu.Unlock()
		err = s.strays(t)
	})
	return err
}

// strays compares the ledger with the tables. (It holds mu.)
func (s *simulation) strays(t *memstore.Tables) error {
	var counts shard.Counts
	for _, sh := range t.Shards {
		counts = counts.Add(sh.Counts)
	}
	dead := 0
	for _, d := range t.DeadLetters {
		if d.ReplayedAt.IsZero() {
			dead++
		}
	}
	if counts.Events != int64(len(t.Events)) || counts.DeadLetters != int64(dead) {
		return fmt.Errorf("the ledger has %d events and %d dead letters, the tables %d and %d", counts.Events, counts.DeadLetters, len(t.Events), dead)
	}
	outside := 0
	for _, e := range t.Events {
		in := false
		for _, j := range t.Jobs {
			in = in || j.Span.Contains(e.At)
		}
		if !in {
			outside++
		}
	}
	if outside > 3*len(t.Shards) { // three older records are too few to tell that they are older
		return fmt.Errorf("%d rows lie outside of the span", outside)
	}
	return nil
}

// allDone reports whether the ledger has all shards of a job's first round as done.
func (s *simulation) allDone(job string) bool {
	done := false
	s.db.Look(func(t *memstore.Tables) {
		j := t.Job(job)
		if done = j != nil; done {
			for _, sh := range t.Round(j.ID, 1) {
				done = done && sh.State == shard.Done && sh.Proof != ""
			}
		}
	})
	return done
}

// blind returns how often malformed records without an id were read again.
func (s *simulation) blind() (n int64) {
	s.db.Look(func(t *memstore.Tables) {
		for _, sh := range t.Shards {
			n += sh.DeadDuplicates
		}
	})
	return n
}

// lie is the place in a request's context for whether its answer says of an end that is none.
type lie struct{}

// heard notes that a shard was told an end that is none: by the API itself, or by what that has kept of such an answer, which may
// have been another shard's. Nobody heard it if there is no answer.
func (s *simulation) heard(r *http.Request, resp *http.Response, lied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	question := r.URL.RequestURI()
	if resp != nil && resp.Header.Get("X-Cache") == "HIT" {
		lied = s.liars[question]
	} else {
		s.liars[question] = lied
	}
	if who, ok := r.Context().Value(asks{}).(asker); ok && lied && resp != nil {
		s.lies[who.row]++
	}
}

// readCursor reads what only the API should: the record after which a cursor leads on.
func readCursor(text string) (ms int64, id uuid.UUID, err error) {
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return 0, id, err
	}
	var c struct {
		ID uuid.UUID `json:"id"`
		TS int64     `json:"ts"`
	}
	err = json.NewDecoder(bytes.NewReader(plain)).Decode(&c)
	return c.TS, c.ID, err
}
