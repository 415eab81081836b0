package coordinator_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// moment is what the database held at one time.
type moment struct {
	table map[uuid.UUID]int
	dead  map[[32]byte]*shard.Reject
	rows  []row
}

// mostMoments is how many commits a standby may be behind.
const mostMoments = 8

// remember keeps what the database holds, for a failover. The caller holds mu.
func (s *simulation) remember() {
	if s.weather.rate[badFailover] == 0 && !(s.weather.single && s.weather.only == badFailover) {
		return
	}
	m := moment{table: maps.Clone(s.table), dead: maps.Clone(s.dead)}
	for _, r := range s.rows {
		m.rows = append(m.rows, *r)
	}
	s.moments = append(s.moments, m)
	s.moments = s.moments[max(0, len(s.moments)-mostMoments):]
}

// failover goes on with a standby that was some commits behind: they were acknowledged, and are gone. The lock is taken anew
// there, and with it the shards.
func (s *simulation) failover(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.moments) == 0 {
		return
	}
	n := s.weather.dice.IntN(len(s.moments))
	s.say("%s: failover to a standby that is %d commits behind", name, len(s.moments)-n)
	m := s.moments[n]
	s.moments = s.moments[:n]
	s.table, s.dead = m.table, m.dead
	rows := make([]*row, 0, len(m.rows))
	for i := range m.rows {
		was := m.rows[i]
		was.run = s.row(was.ID).run
		rows = append(rows, &was)
	}
	s.unsplit += len(s.rows) - len(rows)
	s.rows = rows
	s.lastID = slices.MaxFunc(rows, func(a, b *row) int { return cmp.Compare(a.ID, b.ID) }).ID // it is given again: sequences go back, too
}

// row returns a shard's row; one of no shard and no run, where a failover has undone the split that made it. The caller holds mu.
func (s *simulation) row(id int64) *row {
	for _, r := range s.rows {
		if r.ID == id {
			return r
		}
	}
	return &row{}
}

// split writes down the pieces of a window, as sink does. The caller holds mu.
func (s *simulation) split(r *row, pieces []shard.Window) {
	number := 0
	for _, o := range s.rows {
		number = max(number, o.Shard)
	}
	for i, w := range pieces {
		s.lastID++
		piece := shard.Checkpoint{ID: s.lastID, Shard: number + 1 + i, Parent: r.ID, Window: w, State: shard.Pending}
		s.rows = append(s.rows, &row{Checkpoint: piece, run: r.run})
		r.Window.Start = w.End
		delete(s.reached, piece.Shard)
		delete(s.lies, piece.Shard)
		s.splits++
	}
	slices.SortFunc(s.rows, func(a, b *row) int { return cmp.Compare(a.Window.Start, b.Window.Start) })
}

// tiled tells whether the windows tile the span. The caller holds mu.
func (s *simulation) tiled() error {
	edge := s.span().Start
	for _, r := range s.rows {
		if r.Window.Start != edge || r.Window.End <= edge {
			return fmt.Errorf("the windows do not tile the span at %s: shard %d has %s", edge, r.Shard, r.Window)
		}
		edge = r.Window.End
	}
	if edge != s.span().End {
		return fmt.Errorf("no window after %s", edge)
	}
	return nil
}

// audit counts what sink counts before it judges.
func (s *simulation) audit() ledger.Audit {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := ledger.Audit{Span: s.span(), Rows: int64(len(s.table))}
	named := map[string]bool{}
	for _, d := range s.dead {
		if d.EventID == "" {
			a.DeadBlind++
		} else if i, ok := s.truth.bySum[d.SHA256]; ok && !s.has(s.truth.records[i].Key.ID) {
			named[d.EventID] = true
		}
	}
	a.DeadNamed = int64(len(named))
	for _, r := range s.rows {
		w := ledger.AuditWindow{Checkpoint: r.Checkpoint}
		for id := range s.table {
			if r.Window.Contains(s.truth.records[s.truth.byID[id]].At) {
				w.Rows++
			}
		}
		a.Windows, a.DeadDuplicates = append(a.Windows, w), a.DeadDuplicates+r.deadDuplicates
	}
	return a
}

// blind returns how often malformed records without an id were read again. The caller holds mu.
func (s *simulation) blind() (n int64) {
	for _, r := range s.rows {
		n += r.deadDuplicates
	}
	return n
}

// reopen makes shards suspect, as sink does.
func (s *simulation) reopen(all []ledger.Reopening) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range all {
		r := s.row(o.ID)
		r.Seq++
		r.run = s.current.number
		r.Cursor, r.CursorExpires, r.Resume, r.Proof, r.State = "", time.Time{}, shard.Key{}, "", shard.Suspect
		r.Counts.Received, r.Counts.Events = r.Counts.Received-o.Gone, r.Counts.Events-o.Gone
		s.lies[r.Shard], s.reached[r.Shard] = 0, 0
		s.reopened++
	}
}
