package quota

import (
	"maps"
	"slices"
	"time"
)

// How long a run is good for its word, see quotaShare.
const (
	// So long after a look at the table in which it found nobody, a run sends without asking again.
	aloneFor = 1500 * time.Millisecond
	// So long after its last look, a run is taken to be alive. What is beyond aloneFor makes up for clocks that go at different
	// speeds.
	aliveFor = 2 * time.Second
	// So long after the table was out of reach, it is not asked again before a request.
	deafFor = time.Second
	// The share of a window, and the longest time, for which a slot is left to a run that had its last one earlier, and waits too.
	// That one has seen it become free as well, and a look at the table takes much less.
	courtesyShare   = 120
	longestCourtesy = 500 * time.Millisecond
)

// Run is a run that spends of a quota now. Its times are by the table's clock.
type Run struct {
	Seen    time.Time // when it last looked at the table
	Books   bool      // it sends nothing that is not in the table: it knows that it is not alone
	Waiting bool      // for a free slot
	Served  time.Time // when it had its last one
}

// quotaShare is what a quota keeps of its meetings with the other runs in the table.
//
// A run that finds nobody else alive there may send by itself for a while, and says so in its row entry (not Books). Another
// that comes in meanwhile writes itself down, and sends nothing until the first one has looked, or cannot be alive any more. From
// that look on, which is under the row's lock, both book every request before they send it.
type quotaShare struct {
	meetings int       // how many there were
	others   int       // runs that were alive at the last
	alone    time.Time // until then nobody else sends
	deaf     time.Time // until then the table is taken to be out of reach

	// Requests of ours that may stand in the table, by their marks: one that has moved since, or was taken back, is not
	// another run's.
	written map[int64]bool
	// The last pause that the table and we agreed on, by both clocks. Read back, its end must not move.
	pauseHere, pauseThere time.Time
}

// free tells whether a request may be sent without asking the others.
func (s *quotaShare) free(now time.Time) bool { return now.Before(s.alone) || now.Before(s.deaf) }

// quotaMeeting is one look at the row of a quota, under its lock.
type quotaMeeting struct {
	run     string
	number  int
	asked   time.Time // by our clock: before the table was asked
	now     time.Time // by our clock: when the answer was here
	table   time.Time // by the table's, in between
	waiting bool      // somebody of ours waits for a slot
	leaving bool

	others map[string]Run // who are alive
	limit  Limit          // that was written
	marks  map[int64]bool // of ours that were written
}

// there and here translate a time of ours to the table's clock, and one of the table's to ours. Both err to the late side, by what
// it took to ask: no request is forgotten too early. What our clock is off does not matter.
func (m *quotaMeeting) there(t time.Time) time.Time {
	return m.table.Add(t.Sub(m.asked)).Add(time.Microsecond - 1).Truncate(time.Microsecond).UTC()
}

func (m *quotaMeeting) here(t time.Time) time.Time { return m.now.Add(t.Sub(m.table)) }

// read takes over what the others have written into the row.
func (q *quota) read(m *quotaMeeting, row State) {
	q.share.meetings++
	m.number = q.share.meetings
	q.readLimit(row.Limit)
	q.readPause(m, row.NotBefore)
	q.readSent(m, row.Sent)
	m.others = map[string]Run{}
	for id, run := range row.Runs {
		if id != m.run && m.table.Sub(run.Seen).Abs() < aliveFor {
			m.others[id] = run
		}
	}
	if q.share.others = len(m.others); q.share.others > 0 {
		q.share.alone = time.Time{}
	}
	q.bucket.SetLimitAt(m.now, q.speed(m.now))
}

// readLimit takes a limit that another run has written since we last did. What we were told, or read in headers, stands.
func (q *quota) readLimit(l Limit) {
	if l.N <= 0 || l.validate() != nil || l == q.stored {
		return
	}
	q.stored = l
	if q.known != Configured && q.known != Announced {
		q.believe(l, Remembered)
	}
}

// readPause holds everybody back for as long as any run was told to wait.
func (q *quota) readPause(m *quotaMeeting, until time.Time) {
	if !until.After(q.share.pauseThere) {
		return
	}
	q.share.pauseHere, q.share.pauseThere = m.here(until), until
	if q.share.pauseHere.After(laterOf(m.now, q.pause)) {
		q.pause, q.proven = q.share.pauseHere, false
	}
}

// confirm tells whether a request that was let through by what we knew of the others may be sent by what they have written; if
// not, it is taken back, and the wait returned.
func (q *quota) confirm(m *quotaMeeting, r *quotaRequest) time.Duration {
	q.log.remove(r)
	wait := max(q.pause.Sub(m.now), q.untilFree(m.now), q.courtesy(m))
	for _, other := range m.others {
		if !other.Books {
			wait = max(wait, untilHeard)
		}
	}
	if wait > 0 {
		q.release(r)
		return wait
	}
	r.at, r.booked = m.now, true
	if q.limit != Unlimited {
		q.log.add(r)
	}
	return 0
}

// courtesy returns how long to leave a slot, which is free, to a run that waits for one too and had its last before us. So all
// runs are served in turn, whichever is faster at the table.
func (q *quota) courtesy(m *quotaMeeting) time.Duration {
	served := q.served(m)
	for _, other := range m.others {
		if other.Waiting && other.Served.Before(served) {
			return min(q.window/courtesyShare, longestCourtesy) - q.freeFor(m.now)
		}
	}
	return 0
}

// freeFor returns for how long a slot has been free: since, of the requests that have left the server's log, the one did that stood
// in the way.
func (q *quota) freeFor(now time.Time) time.Duration {
	i := len(q.log) - q.limit
	if q.limit <= 0 || i < 0 {
		return longestWindow
	}
	leaving := make([]time.Time, 0, len(q.log))
	for _, r := range q.log {
		leaving = append(leaving, q.leaves(r))
	}
	slices.SortFunc(leaving, time.Time.Compare)
	return now.Sub(leaving[i])
}

// served returns when we had our last slot, by the table's clock; zero: never, as far as the log reaches.
func (q *quota) served(m *quotaMeeting) time.Time {
	for _, r := range slices.Backward(q.log) {
		if r.origin == ofThisRun {
			return m.there(r.at)
		}
	}
	return time.Time{}
}

// write returns what the row has to hold.
func (q *quota) write(m *quotaMeeting) State {
	m.limit = q.keeps()
	s := State{Name: q.name, Limit: m.limit, Sent: q.mark(m), Runs: maps.Clone(m.others)}
	if q.pause.After(q.share.pauseHere) {
		q.share.pauseHere, q.share.pauseThere = q.pause, m.there(q.pause)
	}
	if q.share.pauseThere.After(m.table) {
		s.NotBefore = q.share.pauseThere
	}
	if !m.leaving {
		s.Runs[m.run] = Run{Seen: m.table, Books: len(m.others) > 0, Waiting: m.waiting, Served: q.served(m)}
	}
	return s
}

// part notes that a meeting is over. Only one that was kept for certain tells that this run is alone, and only until the next.
func (q *quota) part(m *quotaMeeting, err error) {
	switch {
	case err != nil:
		q.share.deaf = time.Now().Add(deafFor)
	case m.number == q.share.meetings:
		q.share.deaf, q.share.alone, q.share.written, q.stored = time.Time{}, time.Time{}, m.marks, m.limit
		if len(m.others) == 0 && !m.leaving {
			q.share.alone = m.asked.Add(aloneFor)
		}
	}
}

// unheard tells whether the table does not know of a pause yet.
func (q *quota) unheard(now time.Time) bool {
	return q.pause.After(laterOf(now, q.share.pauseHere)) && !now.Before(q.share.deaf)
}
