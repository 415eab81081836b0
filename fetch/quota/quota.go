package quota

import (
	"time"

	"golang.org/x/time/rate"
)

// What is taken for granted as long as an endpoint has not said otherwise. Where a number comes from simulation, the
// tests of sim_test.go repeat it.
const (
	// Every limit this API was ever seen to have is one per minute.
	guessWindow = 60 * time.Second
	// A server that gives no Retry-After could have a longer window; it is looked for up to here, and no log need be
	// older.
	longestPause = 15 * time.Minute
	// Requests per second with nothing else in the way. It empties a quota of 50 in ten seconds, and two more
	// requests at most are under way when the first refusal comes back.
	quotaSpeed = 5
	// Where the limit is not known, full speed ends after this many requests a window: fewer than any guess at the
	// stream's limit. From there on the speed is n/32 a second, at least the floor: of the requests that go beyond an
	// unknown limit of 50 one is refused, if refusals come back within 0.6 s.
	slowStart      = 32
	slowStartFloor = 1.5
	// The share of a window that is added to it, because the server counts a request when it arrives: by up to so
	// much may one request be slower on its way than a later one. 1 s of 60 s costs 1.6 % of the quota.
	marginShare   = 60
	marginAtLeast = 150 * time.Millisecond
)

// quota is what is known of one endpoint's limit, and what was spent of it. The token bucket says how fast requests
// may follow one another; the log of our own requests says how many: request i may go when request i-limit has left
// the server's sliding log for certain. That is the earliest time that is safe, for each single request, and no
// bucket alone can find it: with a burst of the whole limit it lets through twice the limit in the first window, with
// a burst of one it ends a window later.
//
// quota is not safe for concurrent use (the Pacer is), and has no clock: time is passed in.
type quota struct {
	name   string // of the endpoint that it limits
	bucket *rate.Limiter
	log    quotaLog
	stamps quotaStamps
	all    []time.Time // memory of untilFree
	ours   []time.Time
	meter  quotaMeter
	known  Source
	quotaTerms

	stored     Limit // in the table, by any run
	share      quotaShare
	flying     int       // requests whose Observe is still to come
	hearing    int       // of them, those whose answer has begun, and is a refusal
	trials     int       // of them, those beyond what has held so far
	givenBack  time.Time // when a slot was last, because its answer was free
	doubt      int       // so much of the ceiling may have been free answers, which were taken for counted
	hitsCount  bool      // and yet somebody was refused
	calm       bool      // nobody was refused for a while
	proven     bool      // something was let through since the last refusal; until then requests go one by one
	headerless int       // so many more replies without headers, and the limit is no longer waited for
	pause      time.Time

	// The last overshoot: the requests refused before we heard of it.
	refusals   int
	strikes    int        // overshoots since something was let through
	refusedAt  time.Time  // when its first refusal came back; what was sent until then belongs to it
	overshotAt time.Time  // when the first request of it was sent
	freeAt     time.Time  // when the server forgets something, as it said to that request; zero: it did not say
	freeBefore time.Time  // the same of the overshoot before
	mute       bool       // the server says neither how much nor how long
	before     quotaTerms // what was believed before
}

// quotaTerms is what we believe the server's limit to be.
type quotaTerms struct {
	limit   int           // requests that we allow ourselves per window; 0: not known; Unlimited: there is none
	ceiling int           // what the limit is when nobody else spends of it; 0: not known
	low     int           // the last limit that held
	window  time.Duration // of the server's log
	sure    bool          // of the window
	late    time.Duration // jitter seen beyond the margin

	patience int // windows to wait before something yielded is asked back
	raiseAt  time.Time
}

// unknownTerms is what we believe before anything is known.
func unknownTerms() quotaTerms { return quotaTerms{window: guessWindow, patience: 1} }

func newQuota(s Spec) *quota {
	q := &quota{
		name:       s.Name,
		bucket:     rate.NewLimiter(quotaSpeed, 1),
		quotaTerms: unknownTerms(),
	}
	if s.Announced {
		q.headerless = 3
	} else { // its refusals come back before more than two others are under way
		q.proven = true
	}
	if s.Limit.N != 0 {
		q.believe(s.Limit, Configured)
	}
	return q
}

// believe takes a limit for known. Nothing has to be found out then, so the first request need not go alone.
func (q *quota) believe(l Limit, known Source) {
	q.known, q.proven, q.headerless = known, true, 0
	q.settle(l.N)
	if l.N != Unlimited {
		q.window, q.sure = l.Window, true
	}
}

// settle makes n the limit without any doubt.
func (q *quota) settle(n int) { q.limit, q.ceiling, q.low = n, n, n }

// full is the limit with nobody else in there.
func (q *quota) full() Limit {
	if q.ceiling > 0 {
		return Limit{N: q.ceiling, Window: q.window}
	}
	return Limit{N: q.limit, Window: q.window}
}

// margin is what is added to the window before a request is taken to have left the server's log.
func (q *quota) margin() time.Duration {
	return max(q.window/marginShare, marginAtLeast) + q.late
}

// recent returns the requests that may be in the server's log for a request sent at t.
func (q *quota) recent(t time.Time) quotaLog {
	if !q.sees() {
		return q.log.after(t.Add(-q.window - q.margin()))
	}
	var in quotaLog
	for _, r := range q.log.after(t.Add(-2 * q.window)) { // no margin is as long as the window
		if q.leaves(r).After(t) {
			in = append(in, r)
		}
	}
	return in
}
