package job_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sluice/fetch/apisim"
)

// trouble is a kind of fault.
type trouble int

const (
	badStatus trouble = iota
	badDelay
	badCut
	badNull
	badTruncated
	badEarlyEnd
	badExpired
	badRevoked
	badTwice
	badLimited
	badHTML
	badDrop
	badStall
	badTimeout
	badLostRequest
	badAPIOutage
	badAccess
	badKey
	badMistake
	badDeadCursor
	badHeader
	badForm
	badRefused
	badUnlanded
	badUnknown
	badStoreOutage
	badLedger
	badPermanent
	badFailover
	badKill
	badStop
	badUsurper
	troubles
)

var troubleNames = [troubles]string{
	"status", "delay", "cut body", "null body", "truncated", "early end", "expired cursor", "revoked token", "duplicates", "429",
	"html", "drop", "stalled body", "no answer", "lost request", "api outage", "no token", "key refused", "another status", "dead cursor", "wrong header", "time as epoch", "commit refused",
	"commit lost", "commit unknown", "store outage", "ledger fault", "permanent fault", "failover", "kill", "stop", "lock lost",
}

func (t trouble) String() string { return troubleNames[t] }

// ofProcess and rare are struck for at every step, or last long.
func (t trouble) ofProcess() bool { return t >= badKill }
func (t trouble) rare() bool {
	return t == badAPIOutage || t == badStoreOutage || t == badTimeout || t == badPermanent || t == badFailover || t == badKey || t == badMistake || t == badHeader
}

// weather decides what goes wrong: every kind at a rate of its own, or a single fault at one position.
type weather struct {
	dice   *rand.Rand
	rate   [troubles]float64
	single bool
	only   trouble
	at     int // the fault strikes at this chance, from 1
	calm   atomic.Bool

	mu              sync.Mutex
	chances, struck [troubles]int
}

// lockedSource is a source of random numbers for several goroutines: two answers may be on their way in the same instant.
type lockedSource struct {
	mu     sync.Mutex
	source rand.Source
}

func (l *lockedSource) Uint64() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.source.Uint64()
}

// strikes reports whether something goes wrong here and now.
func (w *weather) strikes(t trouble) bool {
	if w.calm.Load() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.chances[t]++
	hit := w.single && t == w.only && w.chances[t] == w.at
	if !w.single && w.rate[t] > 0 {
		hit = w.dice.Float64() < w.rate[t]
	}
	if hit {
		w.struck[t]++
	}
	return hit
}

// between draws a time, small ones as often as large ones.
func (w *weather) between(from, to time.Duration) time.Duration { return between(w.dice, from, to) }

// pageTroubles are those of an answer with events. What a fault does not fit is no chance for it.
var pageTroubles = []struct {
	trouble
	fits func(e apisim.Endpoint, r *http.Request) bool
	make func(w *weather) apisim.Fault
}{
	{badStatus, nil, func(w *weather) apisim.Fault { return apisim.Status([]int{500, 502, 503, 504, 408}[w.dice.IntN(5)]) }},
	{badDelay, nil, func(w *weather) apisim.Fault { return apisim.Delay(w.between(100*time.Millisecond, 29*time.Second)) }},
	{badCut, nil, func(w *weather) apisim.Fault { return apisim.CutBody(w.dice.Float64()) }},
	{badNull, nil, func(*weather) apisim.Fault { return apisim.NullBody() }},
	{badTruncated, nil, func(w *weather) apisim.Fault { return apisim.Truncated(w.dice.Float64()) }},
	{badEarlyEnd, nil, func(*weather) apisim.Fault { return apisim.EarlyEnd() }},
	{badExpired, hasCursor, func(*weather) apisim.Fault { return apisim.ExpiredCursor() }},
	{badRevoked, isFeed, func(*weather) apisim.Fault { return apisim.RevokedToken() }},
	{badTwice, nil, func(w *weather) apisim.Fault { return apisim.Duplicates(1 + w.dice.IntN(10)) }},
	{badLimited, nil, func(w *weather) apisim.Fault { return apisim.Limited(w.between(time.Second, 20*time.Minute)) }},
	{badHTML, nil, func(*weather) apisim.Fault { return apisim.HTML() }},
	{badDrop, nil, func(*weather) apisim.Fault { return apisim.Drop() }},
	{badTimeout, nil, func(*weather) apisim.Fault { return apisim.Delay(time.Hour) }},
	{badKey, nil, func(*weather) apisim.Fault { return apisim.Status(401) }},
	{badDeadCursor, hasCursor, func(w *weather) apisim.Fault {
		return apisim.Status([]int{400, 404, 410, 418, 422, 502}[w.dice.IntN(6)])
	}},
}

func hasCursor(_ apisim.Endpoint, r *http.Request) bool { return r.URL.Query().Has("cursor") }
func isFeed(e apisim.Endpoint, _ *http.Request) bool    { return e == apisim.Feed }

// control makes the faults of an endpoint's answers.
func (s *simulation) control(e apisim.Endpoint) func(*http.Request) apisim.Fault {
	return func(r *http.Request) apisim.Fault {
		if status := s.mistaken(e); status != 0 {
			s.say("    %s %d", badMistake, status)
			return apisim.Status(status)
		}
		for _, t := range pageTroubles {
			if (t.fits == nil || t.fits(e, r)) && s.weather.strikes(t.trouble) {
				if lied, ok := r.Context().Value(lie{}).(*bool); ok && t.trouble == badEarlyEnd {
					*lied = true
				}
				s.say("    %s", t.trouble)
				return t.make(s.weather)
			}
		}
		return apisim.Behave()
	}
}

// controlAccess makes the faults of stream access: none that would shut the door for good.
func (s *simulation) controlAccess(*http.Request) apisim.Fault {
	if status := s.mistaken(apisim.Access); status != 0 {
		s.say("    %s %d", badMistake, status)
		return apisim.Status(status)
	}
	if !s.weather.strikes(badAccess) {
		return apisim.Behave()
	}
	s.say("    %s", badAccess)
	return []apisim.Fault{apisim.Status(500), apisim.Status(503), apisim.Drop(), apisim.Answer(200, "application/json", "null")}[s.weather.dice.IntN(4)]
}
