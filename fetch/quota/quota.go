package quota

import (
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// What is assumed of an endpoint until it says otherwise. Numbers that come from simulation are repeated by sim_test.go.
const (
	// Every limit that this API was seen to have is one per minute.
	guessWindow = 60 * time.Second
	// A server that sends no Retry-After could have a longer window. It is looked for up to this length, and no log need
	// reach back further.
	longestPause = 15 * time.Minute
	// Requests per second if nothing else limits them. This empties a quota of 50 in ten seconds, and at most two more
	// requests are in flight when the first refusal comes back.
	maxSpeed = 5
	// While the limit is not known, full speed ends after this many requests per window, which is fewer than any guess at
	// the stream's limit. From there on the speed is n/32 per second, at least the floor: of the requests beyond an unknown
	// limit of 50 one is refused, if refusals come back within 0.6 s.
	slowStart      = 32
	slowStartFloor = 1.5
	// The window is taken to be longer by this share, because the server counts a request when it arrives, and one may take
	// longer on its way than a later one. 1 s of 60 s costs 1.6 % of the quota.
	marginShare   = 60
	marginAtLeast = 150 * time.Millisecond
)

// quota is the state of one endpoint's limit. A token bucket says how fast requests may follow one another; the log of our own
// requests says how many: request i may go when request i-limit has certainly left the server's sliding log. That is the earliest
// safe time for each single request, and a bucket alone can't find it: with a burst of the whole limit it allows twice the limit
// in the first window, with a burst of one it ends a window later.
//
// A quota is not safe for concurrent use (the Pacer is), and has no clock: time is passed in.
type quota struct {
	name   string
	known  Source
	terms        // what the server's limit is believed to be
	before terms // the same before the last overshoot
	stored Limit // in the table, written by any run
	share  share // with other runs, through the table
	bucket *rate.Limiter
	log    requestLog
	stamps stamps
	meter  meter

	used            time.Time // when a slot was last given out
	answered        time.Time // when the last answer came that was no refusal
	inFlight        int       // requests that are neither observed nor returned
	refusals        int       // since the start
	refusedInFlight int       // requests in flight whose answer has begun and is a refusal
	trials          int       // requests in flight beyond the limit that has held so far
	proven          bool      // a request was let through since the last refusal; until then they go one at a time
	calm            bool      // there was no refusal for a while
	silent          int       // pages in a row without the limit that was announced before
	headerless      int       // after this many more answers without headers the limit is no longer expected in one
	pause           time.Time

	// The terms before a limit was announced, and who knew them; and the end of the window that was announced last, and when.
	unannounced     terms
	unannouncedBy   Source
	ends, endsHeard time.Time

	givenBack time.Time // when a slot was last given back because its answer was free
	doubt     int       // requests counted in the ceiling whose answers may have been free
	hitsCount bool      // a refusal came although cached answers were taken to be free

	// The last overshoot: the requests that were refused before we knew of the first refusal.
	strikes    int       // overshoots since a request was let through
	refusedAt  time.Time // when its first refusal came back; requests sent before that belong to it
	overshotAt time.Time // when its first request was sent
	freeAt     time.Time // when the server forgets a request, as it told that first one; zero if it did not say
	freeBefore time.Time // the same of the overshoot before
	mute       bool      // the server reports neither a limit nor a Retry-After

	leaving, oursLeaving []time.Time // memory of untilFree
}

// terms is what the server's limit is believed to be.
type terms struct {
	limit   int           // requests that we allow ourselves per window; 0 means not known
	ceiling int           // the server's limit, if no one else spends of it; 0 means not known
	low     int           // the last limit that held
	window  time.Duration // of the server's log
	sure    bool          // of the window
	firm    bool          // a longer window than usual was announced twice
	late    time.Duration // jitter seen beyond the margin

	patience int // windows to wait before more is tried after yielding to others
	raiseAt  time.Time
}

// unknownTerms is what is believed before anything is known.
func unknownTerms() terms { return terms{window: guessWindow, patience: 1} }

func newQuota(s Spec) *quota {
	q := &quota{name: s.Name, bucket: rate.NewLimiter(maxSpeed, 1), terms: unknownTerms()}
	if s.Announced {
		q.headerless = 3
	} else { // refusals come back before more than two other requests are in flight
		q.proven = true
	}
	if s.Limit.N != 0 {
		q.believe(s.Limit, Configured)
	}
	return q
}

// believe takes a limit for known. The first request need not go alone then.
func (q *quota) believe(l Limit, from Source) {
	q.known, q.proven, q.headerless = from, true, 0
	q.settle(l.N)
	if l.N != Unlimited {
		q.window, q.sure = l.Window, true
	}
}

// settle makes n the limit, and one that has held.
func (q *quota) settle(n int) { q.limit, q.ceiling, q.low = n, n, n }

// full returns the limit that holds if no one else spends of it.
func (q *quota) full() Limit {
	if q.ceiling > 0 {
		return Limit{N: q.ceiling, Window: q.window}
	}
	return Limit{N: q.limit, Window: q.window}
}

// untilAnswer is the wait for something that only an answer can bring.
const untilAnswer = 1<<63 - 1

// take lets one request through, or returns how long to wait before it is worth trying again. Nothing is reserved in the future,
// so that a pause, a limit just learned and a stop take effect at once.
func (q *quota) take(now time.Time) (*request, time.Duration) {
	switch {
	case q.refusedInFlight > 0:
		return nil, untilAnswer
	case now.Before(q.pause):
		return nil, q.pause.Sub(now)
	case q.limit == Unlimited:
		q.inFlight, q.used = q.inFlight+1, now
		return &request{at: now, open: true}, 0
	case !q.proven && q.inFlight > 0:
		return nil, untilAnswer
	}
	q.raise(now)
	trial := q.beyond(now)
	if trial && q.trials > 0 {
		return nil, untilAnswer
	}
	full := q.untilFree(now)
	if wait := min(full, q.untilOverdue(now)); wait > 0 {
		return nil, wait
	}
	if !q.bucket.AllowN(now, 1) {
		missing := 1 - q.bucket.TokensAt(now)
		// A microsecond more, because rounding to no wait at all would let the request through without a token.
		return nil, time.Duration(missing/float64(q.bucket.Limit())*float64(time.Second)) + time.Microsecond
	}
	r := &request{at: now, open: true, trial: trial, overdue: full > 0, early: q.untilFreeUnseen(now) > 0}
	q.inFlight, q.used = q.inFlight+1, now
	if trial {
		q.trials++
	}
	q.meter.read(now, q.full(), q.log)
	q.log.forget(now.Add(-q.memory()))
	q.log.add(r)
	q.bucket.SetLimitAt(now, q.speed(now))
	return r, 0
}

// raise takes back half of what was yielded to others, if it is time to try.
func (q *quota) raise(now time.Time) {
	if q.limit == 0 || q.limit == q.ceiling && q.low == q.limit || now.Before(q.raiseAt) {
		return
	}
	q.low = q.limit // it has held
	if q.limit == q.ceiling {
		return
	}
	if q.ceiling > 0 {
		q.limit += (q.ceiling - q.limit + 1) / 2
	} else {
		q.limit += (q.limit + 1) / 2
	}
	q.raiseAt = now.Add(time.Duration(q.patience) * q.window)
}

// beyond reports whether one more request would exceed the limit that has held so far. Such requests go one at a time, so that a
// limit raised in vain costs one refusal.
func (q *quota) beyond(now time.Time) bool {
	if q.limit <= q.low {
		return false
	}
	r := q.log.ours(q.low)
	return r != nil && q.leaves(r).After(now)
}

// untilFree returns the time until enough requests have left the server's log: of all known requests it may hold the server's
// limit, of ours the limit that we allow ourselves.
func (q *quota) untilFree(now time.Time) time.Duration {
	if q.limit == 0 || !q.seesArrivals() {
		return q.untilFreeUnseen(now)
	}
	all, ours := q.leaving[:0], q.oursLeaving[:0] // they leave in the order in which they arrived, which is not known
	for _, r := range slices.Backward(q.log) {
		if !r.at.After(now.Add(-2 * q.window)) { // no margin is as long as the window
			break
		}
		if left := q.leaves(r); left.After(now) {
			all = append(all, left)
			if r.origin != ofOthers {
				ours = append(ours, left)
			}
		}
	}
	q.leaving, q.oursLeaving = all, ours
	return max(untilFewer(ours, q.limit, now), untilFewer(all, q.ceiling, now))
}

// untilFewer returns the time until fewer than n are left.
func untilFewer(leaving []time.Time, n int, now time.Time) time.Duration {
	if len(leaving) < n {
		return 0
	}
	slices.SortFunc(leaving, time.Time.Compare)
	return leaving[len(leaving)-n].Sub(now)
}

// untilFreeUnseen is untilFree without knowing when requests arrived: they leave in the order in which they were sent.
func (q *quota) untilFreeUnseen(now time.Time) time.Duration {
	if q.limit <= 0 {
		return 0
	}
	var blocking time.Time
	if r := q.log.ours(q.limit); r != nil {
		blocking = r.at
	}
	if i := len(q.log) - q.ceiling; q.ceiling > 0 && i >= 0 {
		blocking = later(blocking, q.log[i].at)
	}
	return blocking.Add(q.window + q.margin()).Sub(now)
}

// speed returns how fast requests may follow one another.
func (q *quota) speed(now time.Time) rate.Limit {
	if q.limit > 0 {
		return max(maxSpeed, rate.Limit(6*float64(q.limit)/q.window.Seconds()))
	}
	n, runs := len(q.log.after(now.Add(-q.window))), rate.Limit(1+q.share.others) // which learn the limit together
	if n < slowStart {
		return maxSpeed / runs
	}
	return min(maxSpeed, max(slowStartFloor, rate.Limit(n)/slowStart)) / runs
}

// memory returns how far back the log is needed: to learn a window, as far as the longest one reaches; if the window is known, far
// enough to see that it is twice as long.
func (q *quota) memory() time.Duration {
	if q.sure && !q.mute {
		return 3 * q.window
	}
	return max(3*q.window, longestPause)
}

// margin returns what is added to the window before a request is taken to have left the server's log.
func (q *quota) margin() time.Duration {
	return max(q.window/marginShare, marginAtLeast) + q.late
}

// recent returns the requests that may be in the server's log when a request sent at t arrives.
func (q *quota) recent(t time.Time) requestLog {
	if !q.seesArrivals() {
		return q.log.after(t.Add(-q.window - q.margin()))
	}
	var in requestLog
	for _, r := range q.log.after(t.Add(-2 * q.window)) { // no margin is as long as the window
		if q.leaves(r).After(t) {
			in = append(in, r)
		}
	}
	return in
}

// refusing notes that the answer to a request is a refusal.
func (q *quota) refusing(r *request) {
	if r.open && !r.refusing {
		r.refusing = true
		q.refusedInFlight++
	}
}

// close notes that a request is over.
func (q *quota) close(r *request) {
	r.open = false
	q.inFlight--
	if r.refusing {
		q.refusedInFlight--
	}
	if r.trial {
		q.trials--
	}
}

// release takes back a request that was never sent.
func (q *quota) release(r *request) {
	if r.open {
		q.close(r)
		q.log.remove(r)
	}
}

// restamp moves a request to the moment when it was written.
func (q *quota) restamp(now time.Time, r *request) {
	if r.open && q.limit != Unlimited {
		q.log.remove(r)
		r.at, r.mark = now, time.Time{}
		q.log.add(r)
	}
}
