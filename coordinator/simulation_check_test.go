package coordinator_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"sluice/shard"
)

// fail keeps the first thing that was wrong.
func (s *simulation) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(err)
}

func (s *simulation) failLocked(err error) {
	if err != nil && s.wrong == nil {
		s.wrong = err
		s.say("WRONG: %v", err)
	}
}

func (s *simulation) has(id uuid.UUID) bool {
	_, ok := s.table[id]
	return ok
}

// checkBatch holds a batch against what every batch promises, before it lands. (The caller holds mu, here and below.)
func (s *simulation) checkBatch(r *row, b *shard.Batch) {
	sum := int64(b.Rows()+len(b.Rejects)) + b.Seen.Duplicates + b.Seen.OutOfWindow
	switch {
	case r.Proof != "" || r.State == shard.Done:
		s.failLocked(fmt.Errorf("shard %d: a batch after the proof of its end", r.Shard))
	case b.Seen.Received != sum || b.Seen.Events != 0 || b.Seen.DeadLetters != 0:
		s.failLocked(fmt.Errorf("shard %d: %+v does not fit %d events and %d rejects", r.Shard, b.Seen, b.Rows(), len(b.Rejects)))
	case min(b.Seen.Duplicates, b.Seen.OutOfWindow, b.Seen.OutOfOrder) < 0:
		s.failLocked(fmt.Errorf("shard %d: impossible counts %+v", r.Shard, b.Seen))
	}
	for e := range b.Events() {
		s.failLocked(s.checkEvent(e))
	}
	for i := range b.Rejects {
		if k, ok := s.truth.bySum[b.Rejects[i].SHA256]; !ok || string(s.truth.records[k].raw) != string(b.Rejects[i].Raw) {
			s.failLocked(fmt.Errorf("shard %d: no record was served as %.100q", r.Shard, b.Rejects[i].Raw))
		}
	}
}

func (s *simulation) checkEvent(e *shard.Event) error {
	i, ok := s.truth.byID[e.ID]
	if !ok {
		return fmt.Errorf("event %s does not exist, or is malformed", e.ID)
	}
	want := &s.truth.records[i]
	if e.At != want.At || e.Type != want.Type || e.Name != want.Name || e.Session != want.Session || e.User != want.User ||
		e.Device != want.Device || e.Browser != want.Browser || e.Properties != `{"page":"/home"}` {
		return fmt.Errorf("event %s was read as %+v, and is %+v", e.ID, *e, want.Event)
	}
	return nil
}

// checkRow holds after each commit: nothing is missing behind the checkpoint, and its batch has stored nothing beyond it.
func (s *simulation) checkRow(r *row, b *shard.Batch) {
	c := r.Counts
	if c.Received != c.Events+c.Duplicates+c.OutOfWindow+c.DeadLetters {
		s.failLocked(fmt.Errorf("shard %d: the law is broken: %+v", r.Shard, c))
	}
	s.failLocked(s.tiled())
	behind := s.behind(r)
	if missing := s.missing(r.Window, behind); missing != "" {
		if r.Proof == shard.ProofConfirmed && s.lies[r.Shard] > 1 {
			s.fooled++ // the API said twice that there is no more
		} else {
			s.failLocked(fmt.Errorf("shard %d, seq %d, proof %q: %s is behind the checkpoint and not stored", r.Shard, r.Seq, r.Proof, missing))
		}
	}
	s.reached[r.Shard] = max(s.reached[r.Shard], behind)
	beyond := 0
	for e := range b.Events() {
		if k := s.truth.byID[e.ID]; k >= s.reached[r.Shard] && r.Window.Contains(e.At) {
			beyond++
		}
	}
	// A page may be stored whose last records are still held back, and before an end is read again the checkpoint goes back by
	// eight records. What is read again because of it, the key removes. In a storm of lies it may be more.
	if !s.swarm && beyond > s.scenario.api.PageCap+8 {
		s.failLocked(fmt.Errorf("shard %d, seq %d: %d events are stored beyond the checkpoint", r.Shard, r.Seq, beyond))
	}
}

// behind returns how many records of the API's order lie behind a checkpoint.
func (s *simulation) behind(r *row) int {
	n := 0
	if !r.Resume.IsZero() {
		n = s.truth.upTo(r.Resume)
	}
	if at, id, err := readCursor(r.Cursor); err == nil {
		n = max(n, s.truth.upTo(shard.Key{At: shard.Instant(at * 1000), ID: id}))
	}
	if r.Proof != "" {
		n = len(s.truth.records)
	}
	return n
}

// missing names a record of a window, of the first n of all, that is neither a row nor a dead letter.
func (s *simulation) missing(w shard.Window, n int) string {
	for i := range s.truth.records[:n] {
		switch k := &s.truth.records[i]; {
		case !w.Contains(k.At):
		case k.raw != nil && !s.buried(k):
			return fmt.Sprintf("the malformed record at %s", k.At)
		case k.raw == nil && !s.has(k.Key.ID):
			return fmt.Sprintf("record %s at %s", k.Key.ID, k.At)
		}
	}
	return ""
}

func (s *simulation) buried(k *known) bool {
	for sum := range s.dead {
		if i, ok := s.truth.bySum[sum]; ok && s.truth.records[i].Key == k.Key {
			return true
		}
	}
	return false
}

// exact tells in what the tables differ from what the API has.
func (s *simulation) exact() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if missing := s.missing(s.span(), len(s.truth.records)); missing != "" {
		return fmt.Errorf("%s is not stored", missing)
	}
	strays := 0
	for id := range s.table {
		if !s.span().Contains(s.truth.records[s.truth.byID[id]].At) {
			strays++
		}
	}
	if strays > 3*len(s.rows) { // three older records are too few to tell that they are older
		return fmt.Errorf("%d rows lie outside of the span", strays)
	}
	return s.checkLedger()
}

// checkLedger compares the ledger with the tables.
func (s *simulation) checkLedger() error {
	var sum shard.Counts
	for _, r := range s.rows {
		sum = sum.Add(r.Counts)
	}
	if sum.Events != int64(len(s.table)) || sum.DeadLetters != int64(len(s.dead)) {
		return fmt.Errorf("the ledger has %d events and %d dead letters, the tables %d and %d", sum.Events, sum.DeadLetters, len(s.table), len(s.dead))
	}
	return nil
}

// allDone tells whether the ledger has all shards as done.
func (s *simulation) allDone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.rows, func(r *row) bool { return r.State != shard.Done || r.Proof == "" })
}

// done returns how many shards the ledger has as done.
func (s *simulation) done() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		if r.State == shard.Done {
			n++
		}
	}
	return n
}

// lie is the place in a request's context for whether its answer says of an end that is none.
type lie struct{}

// heard notes that a shard was told an end that is none: by the API itself, or by what that has kept of such an answer, which may
// have been another shard's. Nobody heard it where there is no answer.
func (s *simulation) heard(r *http.Request, resp *http.Response, lied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	question := r.URL.RequestURI()
	if resp != nil && resp.Header.Get("X-Cache") == "HIT" {
		lied = s.liars[question]
	} else {
		s.liars[question] = lied
	}
	if number, ok := r.Context().Value(asks{}).(int); ok && lied && resp != nil {
		s.lies[number]++
	}
}

// readCursor reads what nobody but the API should: the record after which a cursor leads on.
func readCursor(text string) (ms int64, id uuid.UUID, err error) {
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return 0, id, err
	}
	var c struct {
		ID uuid.UUID `json:"id"`
		TS int64     `json:"ts"`
	}
	err = json.Unmarshal(plain, &c)
	return c.TS, c.ID, err
}
