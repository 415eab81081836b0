package quota

import (
	"maps"
	"slices"
	"time"

	"sluice/coordinator/ledger"
)

// How long a run may rely on what it saw in the table, see share.
const (
	// After a look at the table that found no other run, a run sends without booking for this long.
	aloneFor = 1500 * time.Millisecond
	// After its last look a run is taken to be alive for this long. It is longer than aloneFor because clocks go at different
	// speeds.
	aliveFor = 2 * time.Second
	// After the table could not be reached, it is not asked before a request for this long.
	unreachableFor = time.Second
	// A free slot is left to a run that waits too and had its last one earlier, for this share of a window, at most for the time
	// below. That run has seen the slot become free as well, and a look at the table takes much less.
	yieldShare   = 120
	longestYield = 500 * time.Millisecond
)

// share is what a quota keeps of its visits to the table.
//
// A run that finds no other run alive there may send without booking for a while, and says so in its entry (not Books). Another run
// that comes in meanwhile enters itself, and sends nothing until the first one has looked, or can't be alive any more. From that look
// on, which is under the row's lock, both book every request before they send it.
type share struct {
	visits      int       // so far
	others      int       // runs that were alive at the last one
	alone       time.Time // until then no other run sends
	unreachable time.Time // until then the table is taken to be unreachable

	// Requests of ours that may be in the table, by their marks: one that has moved since, or was taken back, is not another run's.
	written map[int64]bool
	// The end of the last pause that the table and we agreed on, by both clocks. Read back, it must not move.
	pauseHere, pauseThere time.Time
}

// free reports whether a request may be sent without booking it.
func (s *share) free(now time.Time) bool { return now.Before(s.alone) || now.Before(s.unreachable) }

// visit is one look at the row of a quota, under its lock.
type visit struct {
	run     string
	number  int
	asked   time.Time // by our clock: before the table was asked
	now     time.Time // by our clock: when the answer arrived
	table   time.Time // by the table's clock, in between
	waiting bool      // a caller of ours waits for a slot
	leaving bool

	others map[string]ledger.QuotaRun // that are alive
	limit  Limit                      // that was written
	marks  map[int64]bool             // of ours that were written
}

// there translates a time of ours to the table's clock, and here one of the table's to ours. Both err to the late side, by the time it
// took to ask: no request is forgotten too early. It does not matter by how much the clocks differ.
func (v *visit) there(t time.Time) time.Time {
	return v.table.Add(t.Sub(v.asked)).Add(time.Microsecond - 1).Truncate(time.Microsecond).UTC()
}

func (v *visit) here(t time.Time) time.Time { return v.now.Add(t.Sub(v.table)) }

// read takes over what the others have written into the row.
func (q *quota) read(v *visit, row ledger.Quota) {
	q.share.visits++
	v.number = q.share.visits

	// A limit that another run has written since we last did. One that was configured, or announced in headers, stands.
	if l := (Limit{N: row.Limit, Window: row.Window}); l.N > 0 && l.validate() == nil && l.Window <= longestPause && l != q.stored {
		q.stored = l
		if q.known != Configured && q.known != Announced {
			q.believe(l, Remembered)
		}
	}

	// All runs pause for as long as any one was told to, within reason.
	if longest := v.table.Add(longestWait); row.NotBefore.After(longest) {
		row.NotBefore = longest
	}
	if row.NotBefore.After(q.share.pauseThere) {
		q.share.pauseHere, q.share.pauseThere = v.here(row.NotBefore), row.NotBefore
		if q.share.pauseHere.After(later(v.now, q.pause)) {
			q.pause, q.proven = q.share.pauseHere, false
		}
	}

	q.readSent(v, row.Sent)
	v.others = map[string]ledger.QuotaRun{}
	for id, run := range row.Runs {
		if id != v.run && v.table.Sub(run.Seen).Abs() < aliveFor {
			v.others[id] = run
		}
	}
	if q.share.others = len(v.others); q.share.others > 0 {
		q.share.alone = time.Time{}
	}
	q.bucket.SetLimitAt(v.now, q.speed(v.now))
}

// readSent enters the requests of other runs into the log. A request is identified by its mark, which is to the microsecond.
func (q *quota) readSent(v *visit, sent []time.Time) {
	there := make(map[int64]bool, len(sent))
	for _, at := range sent {
		there[at.UnixMicro()] = true
	}
	// Requests of others that the table no longer has, though it must, were taken back, or are there with the moment when they were
	// written to the connection. Old ones are missing because another run, which believes in a shorter window, has no use for them.
	before := len(q.log)
	q.log = slices.DeleteFunc(q.log, func(r *request) bool {
		return r.origin == ofAnotherRun && v.now.Sub(r.at) < q.window/2 && !there[r.mark.UnixMicro()]
	})
	moved := before - len(q.log)

	known := q.log.marks()
	for _, at := range sent {
		mark := at.UnixMicro()
		if known[mark] || q.share.written[mark] {
			continue
		}
		known[mark] = true
		// A clock that was set back must not leave requests in the future: they would block the log for as long.
		q.log.add(&request{at: earlier(v.here(at), v.now), mark: at, origin: ofAnotherRun})
		if moved--; moved < 0 {
			q.log.recognize(at, min(time.Second, q.window/marginShare))
		}
	}
}

// confirm decides whether a request that was let through by what we knew of the others may be sent by what they have written. If not,
// the request is taken back, and the wait returned.
func (q *quota) confirm(v *visit, r *request) time.Duration {
	q.log.remove(r)
	wait := max(q.pause.Sub(v.now), q.yieldTurn(v))
	if !r.overdue {
		wait = max(wait, q.untilFree(v.now))
	}
	for _, other := range v.others {
		if !other.Books {
			wait = max(wait, untilOthersBook)
		}
	}
	if wait > 0 {
		q.release(r)
		return wait
	}
	r.at, r.booked = v.now, true
	if q.limit != Unlimited {
		q.log.add(r)
	}
	return 0
}

// yieldTurn returns how long to leave a slot, which is free, to a run that waits for one too and had its last before us. So all runs
// are served in turn, whichever is faster at the table.
func (q *quota) yieldTurn(v *visit) time.Duration {
	served := q.served(v)
	for _, other := range v.others {
		if other.Waiting && other.Served.Before(served) {
			return min(q.window/yieldShare, longestYield) - q.freeFor(v.now)
		}
	}
	return 0
}

// freeFor returns for how long a slot has been free: since the request that blocked it has left the server's log.
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

// served returns when we had our last slot, by the table's clock; zero means never, as far as the log reaches.
func (q *quota) served(v *visit) time.Time {
	for _, r := range slices.Backward(q.log) {
		if r.origin == ofThisRun {
			return v.there(r.at)
		}
	}
	return time.Time{}
}

// write returns the new row.
func (q *quota) write(v *visit) ledger.Quota {
	// The others and the next run should know a limit that was announced or learned. A configured one may be meant for this run only.
	v.limit = q.stored
	if certain := q.firm || q.known != Announced || q.window <= guessWindow; certain && q.known > Configured && q.sure && q.ceiling > 0 {
		v.limit = q.full()
	}
	row := ledger.Quota{
		Endpoint: q.name, Limit: v.limit.N, Window: v.limit.Window, Sent: q.markSent(v), Runs: maps.Clone(v.others),
	}
	if q.pause.After(q.share.pauseHere) {
		q.share.pauseHere, q.share.pauseThere = q.pause, v.there(q.pause)
	}
	if q.share.pauseThere.After(v.table) {
		row.NotBefore = q.share.pauseThere
	}
	if !v.leaving {
		row.Runs[v.run] = ledger.QuotaRun{Seen: v.table, Books: len(v.others) > 0, Waiting: v.waiting, Served: q.served(v)}
	}
	return row
}

// markSent gives each request that the server may still count its time by the table's clock, and returns these times.
func (q *quota) markSent(v *visit) []time.Time {
	known, sent := q.log.marks(), []time.Time{}
	v.marks = map[int64]bool{}
	for _, r := range q.recent(v.now) {
		if r.origin == ofOthers {
			continue
		}
		if r.mark.IsZero() {
			r.mark = v.there(r.at)
			for known[r.mark.UnixMicro()] { // two of the same microsecond would be one
				r.mark = r.mark.Add(time.Microsecond)
			}
			known[r.mark.UnixMicro()] = true
		}
		if r.origin == ofThisRun {
			v.marks[r.mark.UnixMicro()] = true
			if q.share.written == nil {
				q.share.written = map[int64]bool{}
			}
			q.share.written[r.mark.UnixMicro()] = true
		}
		sent = append(sent, r.mark)
	}
	slices.SortFunc(sent, time.Time.Compare)
	return sent
}

// finish notes the outcome of a visit. Only one that was certainly stored shows that this run is alone, and only until the next.
func (q *quota) finish(v *visit, err error) {
	switch {
	case err != nil:
		q.share.unreachable = time.Now().Add(unreachableFor)
	case v.number == q.share.visits:
		q.share.unreachable, q.share.alone, q.share.written, q.stored = time.Time{}, time.Time{}, v.marks, v.limit
		if len(v.others) == 0 && !v.leaving {
			q.share.alone = v.asked.Add(aloneFor)
		}
	}
}

// marks returns the marks of all requests that have one.
func (l requestLog) marks() map[int64]bool {
	known := make(map[int64]bool, len(l))
	for _, r := range l {
		if !r.mark.IsZero() {
			known[r.mark.UnixMicro()] = true
		}
	}
	return known
}

// recognize drops a request of others that was entered because of an answer, if it is the one that another run has written to the table
// now: the answer was faster than the table. It was entered at the time of the request that was answered, and a request sent within the
// slack after that may have arrived before it.
func (l *requestLog) recognize(at time.Time, slack time.Duration) {
	i := slices.IndexFunc(*l, func(r *request) bool { return r.origin == ofOthers && !r.at.Before(at.Add(-slack)) })
	if i >= 0 {
		*l = slices.Delete(*l, i, i+1)
	}
}
