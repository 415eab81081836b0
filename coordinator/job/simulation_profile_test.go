package job_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/coordinator/ledger"
	"sluice/coordinator/ledger/memstore"
	"sluice/fetch/datasync"
	"sluice/fetch/quota"
	"sluice/shard"
)

// still draws a world in which nothing goes wrong and nothing runs out.
func still(seed uint64) *scenario {
	dice := rand.New(rand.NewPCG(seed, 1))
	s := drawScenario(seed, dice)
	c := &s.api
	c.CursorLife, c.TokenLife, c.CacheLife, c.ExpiredAs502 = 24*time.Hour, 300*time.Second, 0, false
	s.way = min(s.way, 500*time.Millisecond)
	if c.List.Requests > 0 { // known, and long enough for requests to overtake each other
		c.List.Window, c.Feed.Window = time.Minute, time.Minute
		s.pacer = quota.Config{Quotas: datasync.Quotas(quota.Limit{N: c.List.Requests, Window: time.Minute}, quota.Limit{N: c.Feed.Requests, Window: time.Minute})}
	}
	s.stormy = 1 << 30
	return s
}

// If nothing goes wrong the work is the least possible: one process, one attempt for each shard, no page more than it takes
// to see the ends, nothing refused, nothing stored twice but records that can't be told apart.
func TestSimulationCalm(t *testing.T) {
	for seed := uint64(1); seed <= 150; seed++ {
		sc := still(seed)
		if !sc.caps.Windows() {
			continue
		}
		s := play(t, sc)
		if err := s.leastWork(); s.wrong != nil || err != nil {
			t.Errorf("seed %d: %v, %v\n%s", seed, s.wrong, err, &s.stage.text)
		}
	}
}

func (s *simulation) leastWork() error {
	want, unproven := 0, 0
	var tables memstore.Tables
	s.db.Look(func(t *memstore.Tables) { tables = t.Snapshot() })
	for _, sh := range tables.Shards {
		pages, older := s.leastPages(sh.Window)
		want, unproven = want+pages, unproven+older
		if sh.Attempts != 1 {
			return fmt.Errorf("shard %d took %d attempts", sh.Shard, sh.Attempts)
		}
	}
	begun := 0
	for _, sh := range tables.Shards {
		if !sh.Resume.IsZero() {
			begun++
		}
	}
	want += min(begun, 2) // the check looks whether the source is still the same
	if s.api.Flat {       // the check asks for a total once more
		want++
	}
	want += 2 // the end of the data is read again until two answers agree by id; small pages cost up to a quarter more
	if pages := s.requests - s.accesses; pages > want+want/4 || s.accesses > 1+int(s.took/(200*time.Second)) {
		return fmt.Errorf("%d pages and %d tokens were asked for, %d pages would do", pages, s.accesses, want)
	}
	unproven += max(s.api.PageCap, 17) // the whole last response is read again; as many older records may be stored before a jump is believed
	if s.runs != 1 || s.again > unproven || s.refusedTold+s.refusedUntold > 0 {
		return fmt.Errorf("%d processes, %d records read again (%d allow no proof), %d requests refused", s.runs, s.again, unproven,
			s.refusedTold+s.refusedUntold)
	}
	return nil
}

// leastPages returns how many pages a window takes: up to the fourth older record, or to the end of the data and that once
// more; and how many records at the end of the data are too few to prove anything, so that every shard stores them.
func (s *simulation) leastPages(w shard.Window) (pages, unproven int) {
	records, limit := s.newestFirst(), s.api.PageCap
	first := s.startOf(w.End)
	older := 0
	for i := range records[first:] {
		if k := &records[first+i]; k.raw == nil && k.At < w.Start {
			older++
		}
		if older == 4 {
			return i/limit + 1, 0
		}
	}
	again := s.confirmPages(w, first)
	if again > 1 { // on the first of several pages, nothing tells what is known
		older += again * limit
	}
	return max(1, above(len(records)-first, limit)) + again, older
}

// confirmPages returns how many pages it takes to read the end of the data again, after a walk from first: from the eighth
// last record on, or, where there are fewer, from where the walk began.
func (s *simulation) confirmPages(w shard.Window, first int) int {
	records, limit := s.newestFirst(), s.api.PageCap
	var keys []shard.Key
	for i := range records[first:] {
		if k := &records[first+i]; k.raw == nil && k.At < w.End {
			keys = append(keys, k.Key)
		}
	}
	from := s.startOf(w.End)
	if len(keys) >= 8 {
		from = s.startOf(shard.Instant(keys[len(keys)-8].At.NextMilli() * 1000))
	} else if w.End == shard.Future { // nothing to ask for but the cursor that led to the last page
		from = first + max(0, len(records)-first-1)/limit*limit
	}
	return 1 + above(len(records)-from-max(1, limit-1), limit)
}

// startOf returns where the API begins if it is asked for what is older than an instant.
func (s *simulation) startOf(end shard.Instant) int {
	if end == shard.Future {
		return 0
	}
	until := shard.Instant(end.CeilMilli() * 1000)
	n := 0
	for records := s.newestFirst(); n < len(records) && (records[n].At > until || s.api.UntilExclusive && records[n].At == until); {
		n++
	}
	return n
}

// newestFirst returns the records in the API's order.
func (s *simulation) newestFirst() []record {
	all := slices.Clone(s.truth.records)
	slices.Reverse(all)
	return all
}

func above(n, by int) int { return max(0, (n+by-1)/by) }

// Each kind of fault, at up to six positions of a calm run: the result is exact, no shard fails, and the fault costs what
// was on its way.
func TestSimulationSingleFault(t *testing.T) {
	runs := 0
	for base := uint64(1); base <= singleFaultBases; base++ {
		calm := play(t, small(base))
		if calm.wrong != nil {
			t.Fatal(calm.wrong)
		}
		for kind := range troubles {
			chances := max(calm.weather.chances[kind], 1)
			for n := range min(6, chances) {
				runs++
				at := 1 + n*chances/min(6, chances)
				if err := sweep(t, calm, kind, at); err != nil {
					t.Errorf("base %d, %s at %d: %v", base, kind, at, err)
				}
			}
		}
	}
	t.Logf("%d runs", runs)
}

// small is a calm world for a sweep.
func small(base uint64) *scenario {
	for seed := base * 1000; ; seed++ {
		if s := still(seed); s.caps.Windows() && s.caps.StreamAccess && len(s.windows) == 3 && s.api.Events < 90 &&
			s.api.PageCap >= 4 && s.api.PageCap < 10 && !s.api.Flat && s.span == ledger.Everything && s.pacer.Quotas[0].Limit.N == quota.Unlimited {
			return s
		}
	}
}

func sweep(t *testing.T, calm *simulation, kind trouble, at int) error {
	sc := *calm.scenario
	sc.single, sc.only, sc.at = true, kind, at
	s := play(t, &sc)
	// What was on its way of each shard, and the end of the data, which is read anew and then confirmed.
	allowed := 14 + min(len(s.windows), s.fetchers)*(s.limits.QueuePages+3)
	extra := int(s.served.Load() - calm.served.Load())
	switch {
	case s.wrong != nil:
		return fmt.Errorf("%w\n%s", s.wrong, &s.stage.text)
	case s.weather.struck[kind] > 1:
		return fmt.Errorf("struck %d times", s.weather.struck[kind])
	case extra > allowed:
		return fmt.Errorf("%d requests more than in the calm, %d are enough\n%s", extra, allowed, &s.stage.text)
	case s.failedShards > 0 && kind != badPermanent, s.runs > 2 && kind != badStoreOutage && kind != badUsurper, s.runs > 3 && kind == badUsurper: // one may be locked out

		return fmt.Errorf("%d processes, %d shards failed\n%s", s.runs, s.failedShards, &s.stage.text)
	}
	return nil
}

// The same seed is the same run, to the nanosecond: a failure that can't be repeated can't be fixed.
func TestSimulationRepeats(t *testing.T) {
	differ := 0
	n := number("REPEATS", repeatsByDefault)
	for seed := range uint64(n) {
		a, b := play(t, swarm(seed+1)), play(t, swarm(seed+1))
		if a.stage.text.String() != b.stage.text.String() {
			differ++
			t.Errorf("seed %d: %s", seed+1, firstDifference(a.stage.text.String(), b.stage.text.String()))
		}
	}
	t.Logf("%d of %d seeds differ", differ, n)
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return fmt.Sprintf("line %d\n%s\n%s", i, strings.Join(as[max(0, i-3):i+1], "\n"), bs[i])
		}
	}
	return "one is longer"
}
