package quota

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// simLimiter is the limiter of an endpoint as described in api.md 4.2: a sliding log in which refused requests count too.
type simLimiter struct {
	limit     Limit
	announced bool // X-RateLimit-* headers
	forgiving bool // refused requests do not count
	mute      bool // no Retry-After
	fixed     bool // windows follow one another, instead of sliding

	mu       sync.Mutex
	log      []time.Time
	most     int // requests in a window at once
	accepted []time.Time
	refused  int
	streak   int // refusals in a row
	longest  int // streak
}

// arrive counts a request and decides whether it is refused.
func (l *simLimiter) arrive() Answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit.N == Unlimited {
		return Answer{}
	}
	now := time.Now()
	start := now.Add(-l.limit.Window)
	if l.fixed {
		start = now.Truncate(l.limit.Window).Add(-1)
	}
	for len(l.log) > 0 && !l.log[0].After(start) {
		l.log = l.log[1:]
	}
	a := Answer{Refused: len(l.log) >= l.limit.N}
	if !a.Refused || !l.forgiving {
		l.log = append(l.log, now)
	}
	l.most = max(l.most, len(l.log))
	l.announce(&a, now)
	return a
}

// announce writes the headers.
func (l *simLimiter) announce(a *Answer, now time.Time) {
	reset := l.log[0].Add(l.limit.Window).Sub(now)
	if l.fixed {
		reset = now.Truncate(l.limit.Window).Add(l.limit.Window).Sub(now)
	}
	reset = (reset + time.Second - 1).Truncate(time.Second)
	if l.announced {
		a.Limit, a.Remaining, a.Reset = l.limit.N, max(0, l.limit.N-len(l.log)), reset
	}
	if a.Refused && !l.mute {
		a.RetryAfter = reset
	}
}

// tally counts what became of our own requests.
func (l *simLimiter) tally(a Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !a.Refused {
		l.accepted = append(l.accepted, time.Now())
		l.streak = 0
		return
	}
	l.refused++
	l.streak++
	l.longest = max(l.longest, l.streak)
}

// used returns the share of the quota that was given to us between two times.
func (l *simLimiter) used(from, to time.Time) float64 {
	n := 0
	for _, t := range l.accepted {
		if t.After(from) && !t.After(to) {
			n++
		}
	}
	return float64(n) / (float64(l.limit.N) * to.Sub(from).Seconds() / l.limit.Window.Seconds())
}

// simNetwork decides how long things take. Request k takes the same time in every run with the same seed, whichever
// fetcher sends it.
type simNetwork struct {
	seed    uint64
	oneWay  func(r *rand.Rand) time.Duration
	page    [2]time.Duration // shortest and longest, as the client sees it
	refusal time.Duration    // the same for a refusal, at least the way there and back
}

// simInternet is 20-170 ms one way, and up to 0.6 s more for one request in twenty.
func simInternet(r *rand.Rand) time.Duration {
	d := simBetween(r, 20*time.Millisecond, 170*time.Millisecond)
	if r.IntN(20) == 0 {
		d += simBetween(r, 0, 600*time.Millisecond)
	}
	return d
}

func simBetween(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)+1))
}

// simBan is a time in which no request may be sent.
type simBan struct {
	endpoint    string
	from, until time.Time
}

// simAPI is both endpoints behind a network. All its time is virtual.
type simAPI struct {
	list, stream *simLimiter
	net          simNetwork
	lost         func(k uint64) bool // requests that are counted, but never answered
	clock        simClock            // what its cursors tell
	hit          func(k uint64) bool // requests that are answered from the cache
	freeHits     bool                // which does not count

	mu    sync.Mutex
	calls []Slot
	bans  []simBan
}

// newSimAPI returns the API with its true limits and its recorded latencies.
func newSimAPI(seed uint64) *simAPI {
	return &simAPI{
		list:   &simLimiter{limit: Limit{10, time.Minute}, announced: true},
		stream: &simLimiter{limit: Limit{50, time.Minute}},
		net:    simNetwork{seed, simInternet, [2]time.Duration{3000 * time.Millisecond, 3700 * time.Millisecond}, 0},
		lost:   func(uint64) bool { return false },
		hit:    func(uint64) bool { return false },
		clock:  func(seen time.Time) time.Time { return seen.Add(-17 * time.Minute) },
	}
}

// get sends the request of a slot, and reports whether a page came back.
func (s *simAPI) get(p *Pacer, c Slot) bool {
	k := s.note(c)
	r := rand.New(rand.NewPCG(s.net.seed, k))
	up, down, page := s.net.oneWay(r), s.net.oneWay(r), simBetween(r, s.net.page[0], s.net.page[1])
	limiter := s.stream
	if c.Quota == "list" {
		limiter = s.list
	}

	time.Sleep(up)
	a := Answer{Cached: s.hit(k)}
	if !a.Cached || !s.freeHits {
		a = limiter.arrive()
		limiter.tally(a)
		a.Cached = s.hit(k)
	}
	came := time.Now()
	switch {
	case s.lost(k):
		page, a = 30*time.Second, Answer{}
	case a.Refused:
		page = s.net.refusal
	case a.Cached:
		page = 200 * time.Millisecond
	}
	if c.Quota == "stream" && limiter == s.list { // one bucket for both: only the list says so
		a.Limit, a.Remaining, a.Reset = 0, 0, 0
	}
	time.Sleep(max(page-up, down))
	p.Observe(c, a)
	if !a.Refused && !a.Cached && !s.lost(k) {
		p.Stamped(c, s.clock(came.Add(simQuery(r))).Truncate(time.Millisecond))
	}
	s.ban(c.Quota, a)
	return !a.Refused && !s.lost(k)
}

// simClock returns the stamp that the server puts on the cursor of a page that it looked up at the given time.
type simClock func(seen time.Time) time.Time

// blind is a clock that says nothing.
func blind(seen time.Time) time.Time { return seen.Truncate(time.Second) }

// simQuery is the time from when a request was counted to when its cursor is stamped: 45 µs a record (api.md, 2), and now and then
// a page is short.
func simQuery(r *rand.Rand) time.Duration {
	if r.IntN(20) == 0 {
		return 62 * time.Millisecond
	}
	return simBetween(r, 260*time.Millisecond, 290*time.Millisecond)
}

// note enters a call and returns its number.
func (s *simAPI) note(c Slot) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
	return uint64(len(s.calls))
}

func (s *simAPI) ban(e string, a Answer) {
	if a.Refused {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bans = append(s.bans, simBan{e, time.Now(), time.Now().Add(a.RetryAfter)})
	}
}

// checkBans checks that nothing was sent between a refusal and the end of its Retry-After.
func (s *simAPI) checkBans(t *testing.T) {
	t.Helper()
	for _, b := range s.bans {
		for _, c := range s.calls {
			if c.Quota == b.endpoint && c.At.After(b.from) && c.At.Before(b.until) {
				t.Errorf("%s: sent at %v, though paused from %v until %v", c.Quota, c.At, b.from, b.until)
			}
		}
	}
}

// read lets fetchers read the given number of pages, or as many as they can within a time, and returns how long it took.
func (s *simAPI) read(t *testing.T, p *Pacer, fetchers, pages int, most time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	var fetcher sync.WaitGroup
	var begun atomic.Int64
	for range fetchers {
		fetcher.Go(func() {
			for begun.Add(1) <= int64(pages) && s.page(ctx, t, p) {
			}
		})
	}
	fetcher.Wait()
	s.checkBans(t)
	return time.Since(start)
}

// page tries until there is a page, and returns false if the time is over.
func (s *simAPI) page(ctx context.Context, t *testing.T, p *Pacer) bool {
	for {
		call, err := p.Take(ctx, simBoth)
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			t.Errorf("Take: %v", err)
			return false
		}
		if s.get(p, call) {
			return true
		}
	}
}

func simBoth(string) bool { return true }

// intrude simulates another client, which sends a request at a time, one to the list for n-1 to the stream, until the test ends.
func (s *simAPI) intrude(ctx context.Context, every time.Duration, n int) {
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
		if i%n == 0 {
			s.list.arrive()
		} else {
			s.stream.arrive()
		}
	}
}
