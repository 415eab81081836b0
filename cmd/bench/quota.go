package main

import (
	"context"
	"fmt"
	"time"
)

// pace is how fast a profile's clock goes.
type pace struct {
	profile string
	window  time.Duration // of the quotas
	page    time.Duration // that a page takes, about
}

// The real API, and the same ten times faster to see that everything works. The margin for the network's jitter, and how Sluice
// learns a hidden limit, take times of their own that cannot be scaled: how much of its quotas it uses shows only at the true
// pace.
var (
	truePace = pace{"challenge", time.Minute, 3300 * time.Millisecond}
	fastPace = pace{"demo", 6 * time.Second, 330 * time.Millisecond}
)

// What both profiles allow within a window, and their pages here, with few events each so that runs at the same time do not reach
// the machine's limit. Only requests count.
const (
	listRequests   = 10
	streamRequests = 50
	quotaPageRows  = 500
	quotaGoal      = 0.98
	unitShare      = "of the quotas"
	theQuota       = "the quotas"
	unitRequests   = "requests"
)

// quotaRun is one run under the true limits.
type quotaRun struct {
	pace
	shards int
	known  bool // the limits are configured; otherwise the list's headers announce its own, and the stream's is hidden
	load
}

func (q quotaRun) String() string {
	return fmt.Sprintf("shards=%d, %s limits", q.shards, map[bool]string{true: "known", false: "hidden"}[q.known])
}

// allowed is how many requests a second both quotas allow; possible is how many the shards can make, one after another each.
func (q quotaRun) allowed() float64  { return (listRequests + streamRequests) / q.window.Seconds() }
func (q quotaRun) possible() float64 { return float64(q.shards) / q.page.Seconds() }

// pages is how many the run can read in the time given.
func (q quotaRun) pages(within time.Duration) int64 {
	return max(1, int64(within.Seconds()*min(q.allowed(), q.possible())))
}

// measureQuota runs all at the same time, each with a simulator of its own: they wait nearly all the time.
func measureQuota(ctx context.Context, r *rig) ([]Figure, error) {
	var runs []quotaRun
	for _, known := range []bool{true, false} {
		for _, shards := range r.quotaSizes {
			runs = append(runs, quotaRun{pace: r.pace, shards: shards, known: known})
		}
	}
	r.log("%d runs under quotas, at the same time, for %s", len(runs), r.quotaTime)
	trials := make([]trial, len(runs))
	for i, q := range runs {
		data, err := newDataset(q.pages(r.quotaTime)*quotaPageRows, 0)
		if err != nil {
			return nil, err
		}
		trials[i] = trial{binary: r.program, data: data, shards: q.shards, flags: q.flags(),
			simulator: []string{"--profile=" + q.profile, fmt.Sprintf("--page-cap=%d", quotaPageRows)}}
	}
	loads, err := r.together(ctx, trials)
	if err != nil {
		return nil, err
	}
	for i, l := range loads {
		runs[i].load = l
	}
	return quotaFigures(runs), nil
}

func (q quotaRun) flags() []string {
	if !q.known {
		return nil
	}
	return []string{
		fmt.Sprintf("--list-limit=%d/%s", listRequests, q.window),
		fmt.Sprintf("--stream-limit=%d/%s", streamRequests, q.window),
	}
}

// used is the share of both quotas that the run has used.
func (q quotaRun) used() float64 {
	list := q.share(q.requests.ListUsed, q.requests.List, listRequests)
	stream := q.share(q.requests.StreamUsed, q.requests.Stream, streamRequests)
	return (listRequests*list + streamRequests*stream) / (listRequests + streamRequests)
}

// share is what the run reports to have used of a quota since it knew it. If it never knew it, share is the requests of the whole
// run, of those that were allowed in that time.
func (q quotaRun) share(reported float64, requests int64, limit float64) float64 {
	if reported > 0 {
		return reported
	}
	return float64(requests) / (limit * q.ingest.Seconds() / q.window.Seconds())
}

// quotaFigures are the share of the quotas that was used, the refusals, and events a second beside the most that the quotas
// allow. There is no goal where one or two shards, each with one page at a time, cannot use the quotas up, nor at any pace but the
// true one.
func quotaFigures(runs []quotaRun) []Figure {
	var all []Figure
	for _, q := range runs {
		used := figure(fmt.Sprintf("requests, %s", q), unitShare, q.used()).
			at(quotaPanel, map[bool]string{true: "known limits", false: "a hidden limit"}[q.known], q.shards)
		if q.possible() > q.allowed() && q.pace == truePace {
			used = used.atLeast(quotaGoal)
		}
		all = append(all, used,
			figure(fmt.Sprintf("429s, %s", q), unitRequests, float64(q.requests.ListRefused+q.requests.StreamRefused)),
			figure(fmt.Sprintf("first attempt to last commit, %s", q), thousandRows, q.ingested()).
				beside(theQuota, q.ingested()*1000/(q.allowed()*quotaPageRows)))
	}
	return all
}
