package quota

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Answer is what an answer says about the quota. The zero Answer stands for one that says nothing, and for a request that was cut
// off: the server counts that one as well.
type Answer struct {
	Refused    bool          // status 429
	RetryAfter time.Duration // of a 429, or of a fault such as 503; zero means none was given
	Limit      int           // requests per window, from the headers; zero means there were none
	Remaining  int           // requests left in the window
	Reset      time.Duration // until the oldest request that the server remembers is forgotten
	Cached     bool          // from the API's cache, so that it may not have been counted
	Free       bool          // known not to have been counted
	Silent     bool          // a page whose headers give no Limit
}

// longestWait is what a longer wait is taken for. It may be a mistake of one answer, and no wait is written down that no later run
// would sit out: once a day the API is asked again.
const longestWait = 24 * time.Hour

// An epoch, in seconds or milliseconds, is too large to be meant as a number of seconds: those are three years.
const epochSeconds, epochMillis = 1e8, 1e11

// ParseWait reads until when to wait, as Retry-After (RFC 9110, 10.2.3) and X-RateLimit-Reset say it: a number of seconds, an epoch or
// a date. It returns how long that is from now, by the clock of whoever wrote it, and reports whether it could be read. Fractions of a
// second are rounded up: one request too early costs more than a second. A time in the past is 0. No result is longer than a day.
func ParseWait(text string, now time.Time) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	var seconds float64
	if t, err := parseDate(text); err == nil {
		seconds = t.Sub(now).Seconds()
	} else {
		if strings.Trim(text, "0123456789.") != "" { // no sign, exponent, Inf or NaN
			return 0, false
		}
		seconds, err = strconv.ParseFloat(text, 64)
		if err != nil && !math.IsInf(seconds, 1) {
			return 0, false
		}
		switch sinceEpoch := float64(now.UnixMilli()); {
		case seconds >= epochMillis:
			seconds = (seconds - sinceEpoch) / 1000
		case seconds >= epochSeconds:
			seconds -= sinceEpoch / 1000
		}
	}
	return time.Duration(min(max(0, math.Ceil(seconds)), longestWait.Seconds())) * time.Second, true
}

func parseDate(text string) (time.Time, error) {
	if t, err := http.ParseTime(text); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, text)
}

// cacheHits says whether the server counts requests that it answers from its cache. Reports differ (api.md, 4.4), so it is learned.
type cacheHits uint8

const (
	hitsUnknown cacheHits = iota
	hitsCounted
	hitsFree
)

// weigh decides whether an answer from the cache was counted. If an endpoint announces its count in every answer that was counted, an
// answer without one was given before anything was counted. An endpoint that announces nothing has the same cache; it is taken to
// behave alike until a refusal proves otherwise.
func (p *Pacer) weigh(q *quota, a Answer) Answer {
	if !a.Cached || a.Refused {
		return a
	}
	if q.known == Announced {
		p.hits = hitsFree
		if a.Limit > 0 {
			p.hits = hitsCounted
		}
		for _, q := range p.quotas {
			q.resolveDoubt(p.hits)
		}
	}
	a.Free = p.hits == hitsFree && !q.hitsCount
	a.Cached = p.hits == hitsUnknown
	return a
}

// resolveDoubt corrects log and limit, now that it is known whether answers from the cache are counted.
func (q *quota) resolveDoubt(hits cacheHits) {
	for _, r := range slices.Clone(q.log) {
		if r.cached && hits == hitsFree {
			q.log.remove(r)
		}
		r.cached = false
	}
	if q.doubt > 0 {
		if hits == hitsFree {
			q.settle(max(1, q.ceiling-q.doubt))
		} else {
			q.settle(q.ceiling)
		}
	}
	q.doubt = 0
}

// calmWindows is how many windows must pass without a refusal before the margin shrinks: what was learned last may be wrong.
const calmWindows = 2

// observe takes in the answer to a request. Only the first one counts for each request.
func (q *quota) observe(now time.Time, r *request, a Answer) {
	if !r.open {
		return
	}
	q.close(r)
	if a.Limit > 0 {
		q.obeyHeaders(now, r, a)
	} else {
		q.listen(a)
	}
	if !a.Refused {
		q.answered = now
	}
	r.cached = a.Cached && !a.Refused
	if a.Free && !a.Refused {
		q.log.remove(r)
		q.givenBack = now
	}
	switch {
	case a.Refused:
		q.firm = q.firm || r.overdue
		q.refuse(now, r, a)
	case a.RetryAfter > 0: // the API is out of order, and says for how long
		q.pauseFor(now, a.RetryAfter)
	case r.at.After(q.refusedAt): // the caution after a refusal ends, and that of the first request of all
		q.strikes = 0
		q.calm = r.at.After(q.refusedAt.Add(calmWindows * q.window))
		q.headerless = max(0, q.headerless-1)
		q.proven = q.limit != 0 || q.headerless == 0
		if r.overdue && q.known != Announced { // what was learned is wrong, and so is what other runs were told
			q.terms, q.known, q.stored = unknownTerms(), Unknown, Limit{}
		}
	}
	q.bucket.SetLimitAt(now, q.speed(now))
}

// shortestReset is the shortest window that is believed, and longestReset the longest. On a server with fixed windows the first reset is
// the rest of the current window.
const shortestReset, longestReset = 10 * time.Second, longestPause

// obeyHeaders adopts the limit that the server announces, and enters the requests of others that it has counted.
func (q *quota) obeyHeaders(now time.Time, r *request, a Answer) {
	if q.known != Announced {
		q.unannounced, q.unannouncedBy = q.terms, q.known
	}
	used := a.Limit - a.Remaining
	reset := min(a.Reset, longestReset)
	switch alone := used == 1; {
	case alone && reset > 0 && q.known == Unknown:
		q.window = max(reset, shortestReset) // ours is the only request in the log: it leaves after a whole window
	case q.window > guessWindow && 2*used < q.counted(r.at):
		q.window = guessWindow // it has forgotten most of what we sent in the window that we believed in
	default:
		q.window = max(q.window, reset)
	}
	q.hear(now, a.Reset)
	q.sure, q.silent = true, 0
	if q.known != Announced || q.ceiling != a.Limit {
		q.settle(a.Limit)
		q.known = Announced
	}
	q.enterOthers(r, used)
}

// hear believes in a window that is longer than usual once two answers have named the same moment for its end: a single figure may be
// a mistake.
func (q *quota) hear(now time.Time, reset time.Duration) {
	const apart, slack = 3 * time.Second, 2 * time.Second
	ends := now.Add(reset)
	switch again := ends.Sub(q.ends).Abs() <= slack; {
	case q.window <= guessWindow:
		q.firm = false
	case again && now.Sub(q.endsHeard) >= apart:
		q.firm = true
	case !again:
		q.ends, q.endsHeard = ends, now
	}
}

// counted returns how many of our requests of the window before t the server has counted, as far as we know.
func (q *quota) counted(t time.Time) (n int) {
	for _, r := range q.recent(t).upTo(t) {
		if r.origin == ofThisRun && !r.cached {
			n++
		}
	}
	return n
}

// unlikely is a window that only a chain of mistaken refusals has led to so far.
const unlikely = 10 * time.Minute

// untilOverdue returns the time until one request tries a long window that is not certain, although it is full: it was named by one answer,
// or is an unlikely one that refusals led to.
func (q *quota) untilOverdue(now time.Time) time.Duration {
	last := q.log.ours(1)
	if q.known == Configured || q.window <= guessWindow || q.firm || last == nil || q.inFlight > 0 || q.known != Announced && q.window < unlikely {
		return untilAnswer
	}
	return last.at.Add(guessWindow + q.margin()).Sub(now)
}

// maxSilent is after how many pages without a limit an announcement is taken back: it was not the endpoint's own.
const maxSilent = 3

// listen notes an answer that announces nothing.
func (q *quota) listen(a Answer) {
	if q.known != Announced || !a.Silent || a.Cached || a.Free {
		return
	}
	if q.silent++; q.silent >= maxSilent {
		q.terms, q.known = q.unannounced, q.unannouncedBy
		q.headerless, q.proven = 0, true
	}
}

// maxOthers is how many requests of others are entered at once. A server that allows thousands and has given them to others will say
// so by refusing.
const maxOthers = 1000

// enterOthers enters into the log the requests that the server has counted and we did not send. The count is compared with our
// requests at the time of r, because the answer is seconds old; and requests sent just after r may have overtaken it.
func (q *quota) enterOthers(r *request, used int) {
	end := r.at.Add(min(time.Second, q.window/marginShare))
	n := len(q.recent(r.at).upTo(end))
	for range min(used-n, maxOthers) {
		other := &request{origin: ofOthers}
		// If a later request has revealed a request of others, it was there already: this answer shows the same one.
		for _, later := range q.log.after(end) {
			if later.origin == ofOthers {
				other = later
				q.log.remove(later)
				break
			}
		}
		other.at = r.at
		q.log.add(other)
	}
}
