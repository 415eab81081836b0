package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// pace is how fast a profile's clock goes.
type pace struct {
	profile string
	window  time.Duration // of the quotas
	page    time.Duration // that a page takes, about
}

// The real API, and the same ten times faster, to see that it works. The margin for the network's jitter, and how Sluice learns
// a hidden limit, have times of their own, which nobody can scale: what it makes of its quotas shows only at the true pace.
var (
	truePace = pace{"challenge", time.Minute, 3300 * time.Millisecond}
	fastPace = pace{"demo", 6 * time.Second, 330 * time.Millisecond}
)

// What both profiles allow within a window, and their pages here: with few events each, so that runs beside one another do not
// feel the machine's limit. What counts are requests.
const (
	listRequests  = 10
	feedRequests  = 50
	quotaPageRows = 500
	quotaGoal     = 0.98
	unitShare     = "of the quotas"
	theQuota      = "the quotas"
	unitRequests  = "requests"
)

// quotaRun is one run under the true limits.
type quotaRun struct {
	pace
	shards int
	known  bool // the limits are told; otherwise the list's headers tell its own, and the stream's is hidden
	load
}

func (q quotaRun) String() string {
	return fmt.Sprintf("shards=%d, %s limits", q.shards, map[bool]string{true: "known", false: "hidden"}[q.known])
}

// allowed is how many requests a second both quotas allow; possible is how many the shards can make, one after another each.
func (q quotaRun) allowed() float64  { return (listRequests + feedRequests) / q.window.Seconds() }
func (q quotaRun) possible() float64 { return float64(q.shards) / q.page.Seconds() }

// pages are as many as the run can read in the time given.
func (q quotaRun) pages(within time.Duration) int64 {
	return max(1, int64(within.Seconds()*min(q.allowed(), q.possible())))
}

// measureQuota runs all at the same time, each with a simulator of its own: they wait nearly all the time.
func measureQuota(ctx context.Context, s *stand) ([]Figure, error) {
	var runs []quotaRun
	for _, known := range []bool{true, false} {
		for _, shards := range s.quotaSizes {
			runs = append(runs, quotaRun{pace: s.pace, shards: shards, known: known})
		}
	}
	s.say("%d runs under quotas, at the same time, for %s", len(runs), s.quotaTime)
	worlds := make([]*world, len(runs))
	for i, q := range runs {
		w, err := s.quotaWorld(ctx, q)
		if err != nil {
			return nil, err
		}
		defer w.close(ctx)
		worlds[i] = w
	}
	all, running := errgroup.WithContext(ctx)
	for i := range runs {
		all.Go(func() (err error) {
			runs[i].load, err = worlds[i].ingest(running, runs[i].shards, runs[i].flags()...)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	return quotaFigures(runs), checkAll(ctx, worlds)
}

func (s *stand) quotaWorld(ctx context.Context, q quotaRun) (*world, error) {
	data, err := know(q.pages(s.quotaTime)*quotaPageRows, 0)
	if err != nil {
		return nil, err
	}
	return s.newWorld(ctx, data, "--profile="+q.profile, fmt.Sprintf("--page-cap=%d", quotaPageRows))
}

func (q quotaRun) flags() []string {
	if !q.known {
		return nil
	}
	return []string{
		fmt.Sprintf("--list-limit=%d/%s", listRequests, q.window),
		fmt.Sprintf("--stream-limit=%d/%s", feedRequests, q.window),
	}
}

// used is the share of both quotas that the run has used.
func (q quotaRun) used() float64 {
	list := q.share(q.asked.ListUsed, q.asked.List, listRequests)
	stream := q.share(q.asked.StreamUsed, q.asked.Stream, feedRequests)
	return (listRequests*list + feedRequests*stream) / (listRequests + feedRequests)
}

// share is what the run says it has used of a quota since it knew it. Where it never came to know it, it is the requests of the
// whole run, of all that were allowed in the time.
func (q quotaRun) share(told float64, requests int64, limit float64) float64 {
	if told > 0 {
		return told
	}
	return float64(requests) / (limit * q.ingest.Seconds() / q.window.Seconds())
}

// quotaFigures say what was used of the quotas, what was refused, and what the events a second are of the most that the quotas
// allow. There is no goal where one or two shards, each with one page at a time, cannot use them up, and none but at the true
// pace.
func quotaFigures(runs []quotaRun) []Figure {
	var all []Figure
	for _, q := range runs {
		used := Sample{q.used()}.figure(fmt.Sprintf("requests, %s", q), unitShare).
			at(quotaPanel, map[bool]string{true: "known limits", false: "a hidden limit"}[q.known], q.shards)
		if q.possible() > q.allowed() && q.pace == truePace {
			used = used.atLeast(quotaGoal)
		}
		all = append(all, used,
			Sample{float64(q.asked.ListRefused + q.asked.StreamRefused)}.figure(fmt.Sprintf("429s, %s", q), unitRequests),
			Sample{q.ingested()}.figure(fmt.Sprintf("first attempt to last commit, %s", q), thousandRows).
				beside(theQuota, Sample{q.ingested() * 1000 / (q.allowed() * quotaPageRows)}))
	}
	return all
}
