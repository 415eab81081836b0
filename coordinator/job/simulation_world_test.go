package job_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/fetch/apisim"
	"sluice/fetch/datasync"
	"sluice/fetch/hostile"
	"sluice/fetch/quota"
	"sluice/shard"
)

// scenario is everything that is drawn, or written down, before a run.
type scenario struct {
	seed     uint64
	api      apisim.Config
	caps     datasync.Capabilities
	made     bool // cursors may be made
	pacer    quota.Config
	windows  []shard.Window // of a job that is planned already; none means that its first process surveys the source
	span     shard.Window
	shards   int
	fetchers int
	limits   shard.Limits
	lookback time.Duration
	every    time.Duration
	follows  time.Duration // how long a follow lasts
	way      time.Duration // that a request may take to the API
	sinkTook time.Duration // that a statement may take
	rate     [troubles]float64
	swarm    bool
	single   bool
	only     trouble
	at       int
	stormy   int // steps after which the faults end
	patience int // runs that found the database until an act must be done
	plot     []act
	total    totalOf // nil is the right one
	tamper   tamper  // changes requests and answers, in written scenarios
}

// epoch is when the histories end: virtual time begins there.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// between draws a time, small ones as often as large ones.
func between(dice *rand.Rand, from, to time.Duration) time.Duration {
	return time.Duration(float64(from) * math.Pow(float64(to)/float64(from), dice.Float64()))
}

// swarm draws a world, its weather and its operators: half of the kinds of fault are off, the others have a rate each.
func swarm(seed uint64) *scenario {
	dice := rand.New(rand.NewPCG(seed, 1))
	s := drawScenario(seed, dice)
	s.swarm = true
	for t := range troubles {
		rate := 0.003 * math.Pow(60, dice.Float64())
		if t.ofProcess() || t.rare() {
			rate /= 10
		}
		if dice.IntN(2) == 0 {
			s.rate[t] = rate
		}
	}
	s.stormy = 50 + dice.IntN(600)
	if dice.IntN(2) == 0 { // so that some are idle, and windows are split
		s.fetchers += 1 + dice.IntN(6)
	}
	if dice.IntN(3) == 0 {
		s.drawGrowth(dice)
	}
	if dice.IntN(3) > 0 {
		s.windows = nil
	}
	if dice.IntN(3) == 0 {
		s.drawForms(dice.IntN)
	}
	s.plot = drawPlot(dice, s)
	if dice.IntN(5) == 0 {
		s.total = []totalOf{capped, high, low, filtered, missing, flickering}[dice.IntN(6)]
	}
	if s.api.Flat || s.span != ledger.Everything || s.total != nil || s.beyondTheTotal() {
		s.rate[badEarlyEnd] = 0 // nothing tells the total, and two lies in a row would stay unnoticed
	}
	if dice.IntN(4) == 0 {
		s.drawRivals(dice)
	}
	return s
}

// drawRivals lets some sound records show the ids of others, beside them or far away, if no other record has their time: a cursor that is
// made of time and id leads to another place among the records of that time. A malformed record with an id that has a row is taken for the
// same record, written in another way.
func (s *scenario) drawRivals(dice *rand.Rand) {
	data, err := apisim.NewData(s.api)
	if err != nil {
		panic(err)
	}
	s.api.Records = map[int64][]byte{}
	for range 1 + dice.IntN(8) {
		of, serial := dice.Int64N(s.api.Events), dice.Int64N(s.api.Events)
		if dice.IntN(2) == 0 {
			serial = min(of+1, s.api.Events-1)
		}
		alone := func(ms int64) bool {
			for i := range s.api.Events {
				if e := data.Event(i); i != serial && (e.OrderMS == ms || e.AtMS == ms) {
					return false
				}
			}
			return true
		}
		if e := data.Event(serial); alone(e.AtMS) && alone(e.OrderMS) && data.MalformedRecord(serial) == nil && data.MalformedRecord(of) == nil {
			s.api.Records[serial] = hostile.Named(data.Event(of).ID.String(), fmt.Sprintf("rival_%d", serial), time.UnixMilli(e.AtMS))
		}
	}
}

// drawScenario draws everything but the faults and the operators: a job that is planned already, of a source that does not grow.
func drawScenario(seed uint64, dice *rand.Rand) *scenario {
	s := &scenario{
		seed: seed, fetchers: 1 + dice.IntN(4), shards: 1 + dice.IntN(5),
		limits:   shard.Limits{QueuePages: 1 + dice.IntN(3), BatchRows: []int{1, 10, 20_000}[dice.IntN(3)]},
		way:      between(dice, time.Millisecond, 2*time.Second),
		sinkTook: between(dice, time.Millisecond, 10*time.Second),
		made:     dice.IntN(2) == 0, patience: maxRuns, follows: between(dice, time.Minute, time.Hour), every: 10 * time.Minute,
		plot: []act{{do: load}},
	}
	s.api = drawAPI(seed, dice)
	s.drawDoors(dice)
	s.drawQuotas(dice)
	s.windows = drawWindows(dice, &s.api)
	s.span = shard.Window{Start: s.windows[0].Start, End: s.windows[len(s.windows)-1].End}
	return s
}

func drawAPI(seed uint64, dice *rand.Rand) apisim.Config {
	latency := between(dice, 10*time.Millisecond, 4*time.Second)
	life := latency * 100
	if dice.IntN(2) == 0 {
		life = time.Duration(float64(latency) / (0.01 * math.Pow(1000, dice.Float64())))
	}
	length := []time.Duration{100 * time.Millisecond, 5 * time.Second, time.Hour, 26 * time.Hour, 700 * time.Hour}[dice.IntN(5)]
	c := apisim.Config{
		Seed: seed, Events: int64(40 + dice.IntN(161)), Oldest: epoch.Add(-length), Newest: epoch,
		PageCap: 1 + dice.IntN(20), UntilExclusive: dice.IntN(2) == 0, Flat: dice.IntN(10) == 0,
		CursorLife: life, TokenLife: between(dice, 2*time.Second, 300*time.Second),
		ExpiredAs502: dice.IntN(5) == 0, Teapot: dice.IntN(5) == 0, FreeHits: dice.IntN(2) == 0,
		Latency: apisim.Latency{Page: latency, Jitter: latency / 2, PerEvent: 45 * time.Microsecond, Hit: latency / 10, Token: latency / 5},
	}
	if dice.IntN(2) == 0 {
		c.MalformedShare = 0.2 * dice.Float64()
	}
	if dice.IntN(2) == 0 && c.PageCap > 1 { // an end cannot be read twice in different ways if a page has one record
		c.CacheLife = between(dice, time.Second, 30*time.Second)
	}
	if dice.IntN(3) == 0 {
		c.SkewShare = 0.9 * dice.Float64()
	}
	for range dice.IntN(4) {
		at := c.Oldest.Add(time.Duration(dice.Int64N(int64(length)))).Truncate(time.Millisecond)
		c.Ties = append(c.Ties, apisim.Tie{Events: int64(2 + dice.IntN(10)), At: at})
	}
	return c
}

// drawDoors draws which endpoint can be asked by timestamp.
func (s *scenario) drawDoors(dice *rand.Rand) {
	s.api.Window = []apisim.Window{apisim.WindowFeed, apisim.WindowFeed, apisim.WindowFeed, apisim.WindowBoth, apisim.WindowNone}[dice.IntN(5)]
	both := s.api.Window == apisim.WindowBoth
	s.caps = datasync.Capabilities{
		StreamAccess: !both || dice.IntN(2) == 0, UntilList: both, PageSize: s.api.PageCap, MadeCursors: s.made,
	}
	s.caps.UntilStream = s.caps.StreamAccess && s.api.Window != apisim.WindowNone
}

func (s *scenario) drawQuotas(dice *rand.Rand) {
	c := &s.api
	c.Algorithm = []apisim.Algorithm{apisim.SlidingAll, apisim.SlidingAll, apisim.SlidingAccepted, apisim.FixedWindow}[dice.IntN(4)]
	c.RetryAfter = []apisim.RetryAfter{apisim.RetryBoth, apisim.RetryHeader, apisim.RetryBody, apisim.RetryDate, apisim.RetryNone}[dice.IntN(5)]
	s.pacer = quota.Config{Quotas: datasync.Quotas(quota.Limit{}, quota.Limit{})} // to be learned
	switch dice.IntN(3) {
	case 0:
		s.pacer = quota.Config{Quotas: datasync.Quotas(quota.Limit{N: quota.Unlimited}, quota.Limit{N: quota.Unlimited})}
	case 1:
		c.List, c.Feed = apisim.Limit{Requests: 10, Window: time.Minute}, apisim.Limit{Requests: 50, Window: time.Minute, Hidden: true}
	case 2:
		c.List = apisim.Limit{Requests: 2 + dice.IntN(30), Window: between(dice, 2*time.Second, 2*time.Minute)}
		c.Feed = apisim.Limit{Requests: 3 + dice.IntN(60), Window: between(dice, 2*time.Second, 2*time.Minute), Hidden: dice.IntN(2) == 0}
		if dice.IntN(2) == 0 {
			s.pacer = quota.Config{Quotas: datasync.Quotas(quota.Limit{N: c.List.Requests, Window: c.List.Window}, quota.Limit{N: c.Feed.Requests, Window: c.Feed.Window})}
		}
	}
}

// drawGrowth makes the source grow while it is read: some events in each of the rounds that a follow takes, and some of them late.
func (s *scenario) drawGrowth(dice *rand.Rand) {
	s.api.PageCap = max(s.api.PageCap, 4) // pages of one record make a follow of hours too long
	s.caps.PageSize = s.api.PageCap
	s.follows = between(dice, 30*time.Minute, 6*time.Hour)
	s.every = max(time.Second, s.follows/time.Duration(2+dice.IntN(30)))
	s.lookback = between(dice, 2*time.Minute, time.Hour)
	s.api.Live.Rate = float64(5+dice.IntN(40)) / s.follows.Seconds()
	if dice.IntN(2) == 0 {
		s.api.Live.LateShare, s.api.Live.LateBy, s.api.Live.LateMost = 0.5*dice.Float64(), s.lookback/20, s.lookback/4
		if known.draws(lateBeyond) { // what a round never saw it cannot store
			s.api.Live.LateBy, s.api.Live.LateMost = s.lookback, 5*s.lookback
		}
	}
}

// drawWindows cuts the history as the program does, or at edges on records and beside them.
func drawWindows(dice *rand.Rand, c *apisim.Config) []shard.Window {
	n := 1 + dice.IntN(5)
	oldest, newest := shard.InstantOf(c.Oldest), shard.InstantOf(c.Newest)
	if dice.IntN(3) == 0 {
		return coordinator.Plan(ledger.Everything, oldest, newest, n)
	}
	data, err := apisim.NewData(*c)
	if err != nil {
		panic(err)
	}
	edges := []shard.Instant{shard.Past, shard.Future}
	if dice.IntN(4) == 0 {
		edges = nil
	}
	for range n + 1 - len(edges)/2 {
		at := shard.Instant(data.Event(dice.Int64N(data.Events())).OrderMS * 1000)
		edges = append(edges, at+[]shard.Instant{0, 0, 0, 1000, -1000, 500}[dice.IntN(6)])
	}
	slices.Sort(edges)
	// Two windows that are asked for by the same millisecond would be one question, and chance would decide whose comes first.
	edges = slices.CompactFunc(edges, func(a, b shard.Instant) bool {
		return a.Finite() && b.Finite() && a.CeilMilli() == b.CeilMilli() || a == b
	})
	if len(edges) < 2 {
		edges = []shard.Instant{shard.Past, shard.Future}
	}
	var windows []shard.Window
	for i := 1; i < len(edges); i++ {
		windows = append(windows, shard.Window{Start: edges[i-1], End: edges[i]})
	}
	return windows
}
