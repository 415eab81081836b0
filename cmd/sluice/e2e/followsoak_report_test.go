package e2e

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// report returns the table of what was seen, and fails where it cannot be.
func (f *followSoak) report() string {
	f.t.Helper()
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-34s  %s\n", what, fmt.Sprintf(format, args...))
	}
	f.reportDelays(line)
	f.reportRequests(line)
	for _, o := range f.outages {
		line(o.what, "from %s on, a round was done after %s", o.from.Sub(f.began).Round(time.Second), o.to.Sub(o.from).Round(100*time.Millisecond))
	}
	return b.String()
}

type liner func(what, format string, args ...any)

// reportDelays tells how long events took from when the source showed them until they were stored.
func (f *followSoak) reportDelays(line liner) {
	var all, calm []time.Duration
	late := 0
	for _, r := range f.rows() {
		shown := time.UnixMilli(r.ArrivesMS)
		delay := r.ingested.Sub(shown)
		if all = append(all, delay); !f.disturbed(shown, r.ingested) {
			calm = append(calm, delay)
		}
		if r.ArrivesMS > r.AtMS {
			late++
		}
	}
	if len(calm) == 0 {
		f.t.Fatal("no event came outside of the outages")
	}
	line("events after the first load", "%d, %d of them late", len(all), late)
	line("delay from event to row", "median %s, 99 %% %s", quantile(all, 0.5), quantile(all, 0.99))
	line("outside of the outages", "median %s, 99 %% %s", quantile(calm, 0.5), quantile(calm, 0.99))
}

// disturbed reports whether something was away in between, or its consequences were.
func (f *followSoak) disturbed(from, to time.Time) bool {
	return slices.ContainsFunc(f.outages, func(o stretch) bool { return from.Before(o.to) && o.from.Before(to) })
}

func quantile(of []time.Duration, share float64) time.Duration {
	of = slices.Clone(of)
	slices.Sort(of)
	return of[min(int(share*float64(len(of))), len(of)-1)].Round(10 * time.Millisecond)
}

// spentOn is what rounds of one kind took.
type spentOn struct{ rounds, pages, others, most int }

func (s *spentOn) String() string {
	return fmt.Sprintf("%.2f pages (at most %d) and %.2f other requests in each of %d",
		float64(s.pages)/float64(max(1, s.rounds)), s.most, float64(s.others)/float64(max(1, s.rounds)), s.rounds)
}

// reportRequests tells what the rounds cost.
func (f *followSoak) reportRequests(line liner) {
	var idle, busy spentOn
	doubts := 0
	steps := f.steps()
	for n, s := range steps {
		if n == 0 || s.process != steps[n-1].process { // a first load, or what was left by a kill
			continue
		}
		kind := &busy
		if strings.HasPrefix(s.Verdict, "nothing is new") {
			kind = &idle
		}
		kind.add(f.front.between(steps[n-1].Time, s.Time))
		if strings.Contains(s.Verdict, "more than the ledger accounts for") {
			doubts++
		}
	}
	if idle.pages != idle.rounds || busy.rounds == 0 {
		f.t.Errorf("idle rounds must take one page each: idle %s, others %s", &idle, &busy)
	}
	if idle.rounds == 0 && f.unit > time.Second { // in the short form a busy machine may load until the source goes on
		f.t.Error("no round was idle")
	}
	refused := 0
	for _, a := range f.front.between(time.Time{}, time.Now()) {
		if a.status == http.StatusTooManyRequests {
			refused++
		}
	}
	line("rounds with news", "%s", &busy)
	line("idle rounds", "%s", &idle)
	line("rounds that missed events anew", "%d, said at their end", doubts)
	line("refused with 429", "%d", refused)
	line("late, as the ledger counts", "%d", f.number(`select sum(late_minute + late_ten_minutes + late_hour + late_older)::bigint from ingestion_shards`))
}

func (s *spentOn) add(requests []asked) {
	pages := 0
	for _, a := range requests {
		if a.page {
			pages++
		}
	}
	s.rounds, s.pages, s.others, s.most = s.rounds+1, s.pages+pages, s.others+len(requests)-pages, max(s.most, pages)
}

// taken is how a round ended, as the follow logs it.
type taken struct {
	Time    time.Time
	Msg     string
	Verdict string
	process int
}

// steps reads what the processes printed.
func (f *followSoak) steps() (steps []taken) {
	f.t.Helper()
	for n, out := range f.printed {
		lines := bufio.NewScanner(strings.NewReader(out))
		lines.Buffer(nil, len(out))
		for lines.Scan() {
			s := taken{process: n}
			if err := json.Unmarshal(lines.Bytes(), &s); err == nil && s.Msg == "a step is done" {
				steps = append(steps, s)
			}
		}
	}
	slices.SortFunc(steps, func(a, b taken) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return steps
}
