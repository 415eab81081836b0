package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// The goals (issue 4): the share of the floor that a run reaches, the client's CPU a row, the most memory that a run may take, whatever it
// loads, and how many times as long half of the events in one hour may take.
const (
	floorGoal = 0.75
	cpuGoal   = 1.5
	peakGoal  = 256
	skewShare = 0.5
	skewGoal  = 1.15
)

// floorSessions load at the same time. Four are no faster on two cores, and the program commits with two.
const floorSessions = 2

// floorDatabase has the floor's table.
const floorDatabase = "floor"

// copyColumns are those that the program fills too; ingested_at is the server's.
const copyColumns = `id, session_id, user_id, type, name, properties, "timestamp", device_type, browser`

const (
	copyOut           = `copy (select ` + copyColumns + ` from public.ingested_events order by "timestamp" desc, id desc offset %d limit %d) to '%s' (format binary)`
	copyIn            = `copy public.ingested_events (` + copyColumns + `) from '%s' (format binary)`
	showDataDirectory = `show data_directory`
	copyDatabase      = `create database ` + floorDatabase + ` template %s`
	truncateEvents    = `truncate public.ingested_events`
)

// prepareFloor runs the program once, which warms up everything, and writes the rows into files of the server in the API's order,
// in which the ids are random, one file for each session. The floor's table is that of a copy of the database.
func (r *rig) prepareFloor(ctx context.Context) error {
	if r.files != nil {
		return nil
	}
	w, err := r.newWorld(ctx, r.usual(r.data, usualShards))
	if err != nil {
		return err
	}
	defer w.close(ctx)
	if _, err := w.load(ctx); err != nil {
		return err
	}
	var dir string
	if err := w.queryRow(ctx, w.database, showDataDirectory, nil, &dir); err != nil {
		return err
	}
	var files []string
	share := (r.data.truth.Rows + floorSessions - 1) / floorSessions
	for i := range int64(floorSessions) {
		file := path.Join(dir, fmt.Sprintf("bench-rows-%d", i+1))
		if _, err := w.exec(ctx, w.database, fmt.Sprintf(copyOut, i*share, share, file)); err != nil {
			return fmt.Errorf("write the floor's rows: %w", err)
		}
		files = append(files, file)
	}
	if _, err := r.exec(ctx, maintenance, fmt.Sprintf(copyDatabase, w.database)); err != nil {
		return fmt.Errorf("make the floor's table: %w", err)
	}
	r.files = files
	return nil
}

// floor is the most that the database can do: it loads the same rows into the same table from files of its own, without a client
// that fetches, decodes or sends them.
func (r *rig) floor(ctx context.Context) (load, error) {
	// The truncate is a transaction of its own: a COPY in the same one would skip the write-ahead log.
	for _, sql := range []string{truncateEvents, checkpoint} {
		if _, err := r.exec(ctx, floorDatabase, sql); err != nil {
			return load{}, fmt.Errorf("empty the floor: %w", err)
		}
	}
	var rows atomic.Int64
	all, copying := errgroup.WithContext(ctx)
	watch := r.startWatch()
	for _, file := range r.files {
		all.Go(func() error {
			n, err := r.exec(copying, floorDatabase, fmt.Sprintf(copyIn, file))
			rows.Add(n)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return load{}, fmt.Errorf("load the floor: %w", err)
	}
	l := load{rows: rows.Load()}
	watch.stop(&l)
	if l.rows != r.data.truth.Rows {
		return load{}, fmt.Errorf("the floor took %d rows, want %d", l.rows, r.data.truth.Rows)
	}
	r.print("Floor", figure{l.thousands(l.wall), thousandRows, 0, 0}, figure{l.micros(l.postgres), "PostgreSQL-µs/row", 0, 0})
	return l, nil
}

// Thousands of rows a second: from start to exit, and from the first attempt of a shard to the last commit.
const thousandRows, ingested = "krows/s", "ingested-krows/s"

// figures are those of every load, with the goal for the client's CPU.
func (l load) figures(cpuGoal float64) []figure {
	return []figure{
		{l.thousands(l.wall), thousandRows, 0, 0},
		{l.thousands(l.ingest), ingested, 0, 0},
		{l.micros(l.client), "client-µs/row", 0, cpuGoal},
		{l.micros(l.postgres), "PostgreSQL-µs/row", 0, 0},
		{float64(l.peak) / (1 << 20), "peak-MiB", 0, peakGoal},
		{float64(l.rows) / float64(max(l.commits, 1)), "rows/commit", 0, 0},
		{l.others, "other-cores", 0, 0},
	}
}

// measureWhole draws the curve of the machine: floor, one number of shards, floor, the next one, floor. The run with the usual
// number is followed by one of data of which half is in one hour.
func measureWhole(ctx context.Context, r *rig) error {
	if err := r.prepareFloor(ctx); err != nil {
		return err
	}
	skewed, err := newDataset(r.events, skewShare)
	if err != nil {
		return err
	}
	before, err := r.floor(ctx)
	if err != nil {
		return err
	}
	for _, shards := range r.shards {
		l, err := r.run(ctx, r.usual(r.data, int(shards)))
		if err != nil {
			return err
		}
		cpu, floor := 0., 0.
		if shards == usualShards {
			cpu, floor = cpuGoal, floorGoal
			uneven, err := r.run(ctx, r.usual(skewed, usualShards))
			if err != nil {
				return err
			}
			r.printSkew("none", uneven, l)
		}
		after, err := r.floor(ctx)
		if err != nil {
			return err
		}
		possible := (before.thousands(before.wall) + after.thousands(after.wall)) / 2
		r.print(fmt.Sprintf("Whole/shards=%d", shards), append(l.figures(cpu),
			figure{l.thousands(l.wall) / possible, "×floor", floor, 0},
			figure{l.thousands(l.ingest) / possible, "ingested-×floor", floor, 0},
			figure{2 * l.micros(l.postgres) / (before.micros(before.postgres) + after.micros(after.postgres)), "PostgreSQL-×floor", 0, 0})...)
		before = after
	}
	return nil
}

// printSkew compares a load of which half is in one hour with an even one.
func (r *rig) printSkew(page string, skewed, even load) {
	r.print(fmt.Sprintf("Skew/page=%s/shards=%d", page, usualShards), figure{skewed.ingest.Seconds() / even.ingest.Seconds(), "×even", 0, skewGoal})
}

// compareBinaries runs the program of -binary and the checkout's, one after the other; the next pass has the other order.
func compareBinaries(ctx context.Context, r *rig) error {
	if r.pass == 0 { // warm up
		if _, err := r.run(ctx, r.usual(r.data, usualShards)); err != nil {
			return err
		}
	}
	for _, shards := range r.shards {
		turns := []string{"old", "checkout"}
		if r.pass%2 == 1 {
			slices.Reverse(turns)
		}
		for _, name := range turns {
			t := r.usual(r.data, int(shards))
			if name == "old" {
				t.binary = r.binary
			}
			l, err := r.run(ctx, t)
			if err != nil {
				return err
			}
			r.print(fmt.Sprintf("Binary/of=%s/shards=%d", name, shards), append(l.figures(0),
				figure{l.micros(l.client + l.postgres), "both-µs/row", 0, 0})...)
		}
	}
	return nil
}

// flatGoal is how many times the CPU a row of the smallest size the client may take at another.
const flatGoal = 1.1

// measureSize loads more and more.
func measureSize(ctx context.Context, r *rig) error {
	smallest := 0.
	for _, events := range r.sizes {
		data, err := newDataset(events, 0)
		if err != nil {
			return err
		}
		l, err := r.run(ctx, r.usual(data, usualShards))
		if err != nil {
			return err
		}
		if smallest == 0 {
			smallest = l.micros(l.client)
		}
		r.print(fmt.Sprintf("Size/rows=%d", l.rows), l.figures(flatGoal*smallest)...)
	}
	return nil
}

// pageRows is how many events the simulator puts into a page.
const pageRows = 5000

// waiting is a latency, and how many pages each shard reads with it.
type waiting struct {
	page   time.Duration
	pages  int
	shards [][]int // each group at the same time: at so few rows a second, 60,000, that the runs do not slow each other down
}

// latencyGoals are for pages as slow as the real API's: how many times as fast as one shard (issue 4).
var latencyGoals = map[int]float64{8: 7.5, 32: 28}

// realPage is about what a page of the real API takes.
const realPage = 3 * time.Second

// measureLatency draws how the work scales with shards where each page takes its time: every shard has as many pages, so that
// the perfect program takes as long with 32 as with one.
func measureLatency(ctx context.Context, r *rig) error {
	for _, wait := range r.waits {
		var one float64
		for _, group := range wait.shards {
			r.log("pages of %s, shards=%v at the same time", wait.page, group)
			trials := make([]trial, len(group))
			for i, shards := range group {
				var err error
				if trials[i], err = r.slowTrial(wait, shards, 0); err != nil {
					return err
				}
			}
			loads, err := r.together(ctx, trials)
			if err != nil {
				return err
			}
			for i, l := range loads {
				speed, goal := l.thousands(l.ingest), 0.
				if one == 0 {
					one = speed
				}
				if wait.page >= realPage {
					goal = latencyGoals[group[i]]
				}
				r.print(fmt.Sprintf("Latency/page=%s/shards=%d", wait.page, group[i]), figure{speed, ingested, 0, 0}, figure{speed / one, "×one-shard", goal, 0})
			}
		}
	}
	var loads [2]load
	for i, skew := range []float64{skewShare, 0} {
		t, err := r.slowTrial(r.waits[0], usualShards, skew)
		if err != nil {
			return err
		}
		if loads[i], err = r.run(ctx, t); err != nil {
			return err
		}
	}
	r.printSkew(r.waits[0].page.String(), loads[0], loads[1])
	return nil
}

// slowTrial has wait.pages pages for each shard, nearly full: windows that are a little heavier than others have no page more.
func (r *rig) slowTrial(wait waiting, shards int, skew float64) (trial, error) {
	data, err := newDataset(int64(shards*wait.pages)*pageRows*9/10, skew)
	t := r.usual(data, shards)
	t.simulator = []string{fmt.Sprintf("--latency=%s", wait.page), fmt.Sprintf("--page-cap=%d", pageRows)}
	t.flags = append([]string{fmt.Sprintf("--fetchers=%d", shards)}, t.flags...)
	return t, err
}

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
)

// quotaRun is one run under the true limits.
type quotaRun struct {
	pace
	shards int
	known  bool // the limits are configured; otherwise the list's headers announce its own, and the stream's is hidden
}

// allowed is how many requests a second both quotas allow; possible is how many the shards can make, one after another each.
func (q quotaRun) allowed() float64  { return (listRequests + streamRequests) / q.window.Seconds() }
func (q quotaRun) possible() float64 { return float64(q.shards) / q.page.Seconds() }

// pages is how many the run can read in the time given.
func (q quotaRun) pages(within time.Duration) int64 {
	return max(1, int64(within.Seconds()*min(q.allowed(), q.possible())))
}

// measureQuota runs all at the same time, each with a simulator of its own: they wait nearly all the time. There is no goal where one or two
// shards, each with one page at a time, cannot use the quotas up, nor at any pace but the true one.
func measureQuota(ctx context.Context, r *rig) error {
	var runs []quotaRun
	var trials []trial
	for _, known := range []bool{true, false} {
		for _, shards := range r.quotaSizes {
			q := quotaRun{r.pace, shards, known}
			data, err := newDataset(q.pages(r.quotaTime)*quotaPageRows, 0)
			if err != nil {
				return err
			}
			t := trial{binary: r.program, data: data, shards: shards, simulator: []string{"--profile=" + q.profile, fmt.Sprintf("--page-cap=%d", quotaPageRows)}}
			if known {
				t.flags = []string{fmt.Sprintf("--list-limit=%d/%s", listRequests, q.window), fmt.Sprintf("--stream-limit=%d/%s", streamRequests, q.window)}
			}
			runs, trials = append(runs, q), append(trials, t)
		}
	}
	r.log("%d runs under quotas, at the same time, for %s", len(runs), r.quotaTime)
	loads, err := r.together(ctx, trials)
	if err != nil {
		return err
	}
	for i, q := range runs {
		l, goal := loads[i], 0.
		if q.possible() > q.allowed() && q.pace == truePace {
			goal = quotaGoal
		}
		r.print(fmt.Sprintf("Quota/limits=%s/shards=%d", map[bool]string{true: "known", false: "hidden"}[q.known], q.shards),
			figure{q.used(l), "of-quotas", goal, 0}, figure{float64(l.requests.ListRefused + l.requests.StreamRefused), "429s", 0, 0},
			figure{l.thousands(l.ingest), ingested, 0, 0})
	}
	return nil
}

// used is the share of both quotas that a run has used.
func (q quotaRun) used(l load) float64 {
	list := q.share(l, l.requests.ListUsed, l.requests.List, listRequests)
	stream := q.share(l, l.requests.StreamUsed, l.requests.Stream, streamRequests)
	return (listRequests*list + streamRequests*stream) / (listRequests + streamRequests)
}

// share is what the run reports to have used of a quota since it knew it. If it never knew it, share is the requests of the whole
// run, of those that were allowed in that time.
func (q quotaRun) share(l load, reported float64, requests int64, limit float64) float64 {
	if reported > 0 {
		return reported
	}
	return float64(requests) / (limit * l.ingest.Seconds() / q.window.Seconds())
}
