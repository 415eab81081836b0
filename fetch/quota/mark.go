package quota

import (
	"slices"
	"time"
)

// readSent enters the requests of other runs into the log. A request is known again by its mark, which is to the microsecond.
func (q *quota) readSent(m *quotaMeeting, sent []time.Time) {
	there := make(map[int64]bool, len(sent))
	for _, at := range sent {
		there[at.UnixMicro()] = true
	}
	moved := q.dropMoved(m, there)
	known := q.log.marks()
	for _, at := range sent {
		mark := at.UnixMicro()
		if known[mark] || q.share.written[mark] {
			continue
		}
		known[mark] = true
		// A clock that was set back must not leave requests in the future: they would block the log for as long.
		q.log.add(&quotaRequest{at: earlierOf(m.here(at), m.now), mark: at, origin: ofAnotherRun})
		if moved--; moved < 0 {
			q.log.recognise(at, min(time.Second, q.window/marginShare))
		}
	}
}

// dropMoved drops the requests of others that the table has no more though it must: they were taken back, or stand there with
// the moment when they were written to the wire. It returns their number. Old ones are missing because another run, which
// believes in a shorter window, has no use for them.
func (q *quota) dropMoved(m *quotaMeeting, there map[int64]bool) int {
	before := len(q.log)
	q.log = slices.DeleteFunc(q.log, func(r *quotaRequest) bool {
		return r.origin == ofAnotherRun && m.now.Sub(r.at) < q.window/2 && !there[r.mark.UnixMicro()]
	})
	return before - len(q.log)
}

// mark gives each request that the server may still count its time by the table's clock, and returns them all.
func (q *quota) mark(m *quotaMeeting) []time.Time {
	known, sent := q.log.marks(), []time.Time{}
	m.marks = map[int64]bool{}
	for _, r := range q.recent(m.now) {
		if r.origin == ofOthers {
			continue
		}
		if r.mark.IsZero() {
			r.mark = m.there(r.at)
			for known[r.mark.UnixMicro()] { // two of the same microsecond would be one
				r.mark = r.mark.Add(time.Microsecond)
			}
			known[r.mark.UnixMicro()] = true
		}
		if r.origin == ofThisRun {
			m.marks[r.mark.UnixMicro()] = true
			q.share.write(r.mark)
		}
		sent = append(sent, r.mark)
	}
	slices.SortFunc(sent, time.Time.Compare)
	return sent
}

// write notes that a mark of ours may stand in the table.
func (s *quotaShare) write(mark time.Time) {
	if s.written == nil {
		s.written = map[int64]bool{}
	}
	s.written[mark.UnixMicro()] = true
}

// marks returns the marks of all requests that have one.
func (l quotaLog) marks() map[int64]bool {
	known := make(map[int64]bool, len(l))
	for _, r := range l {
		if !r.mark.IsZero() {
			known[r.mark.UnixMicro()] = true
		}
	}
	return known
}

// recognise drops a request of unknown others that was entered because of a reply, and was the one that another run has written
// down now: the reply has overtaken the table. It was entered at the time of the request that was answered, and what is sent
// within the slack after that may have come before it.
func (l *quotaLog) recognise(at time.Time, slack time.Duration) {
	i := slices.IndexFunc(*l, func(r *quotaRequest) bool { return r.origin == ofOthers && !r.at.Before(at.Add(-slack)) })
	if i >= 0 {
		*l = slices.Delete(*l, i, i+1)
	}
}
