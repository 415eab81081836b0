package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// section is a group of figures that are measured together.
type section struct {
	name    string
	cost    string // how long it takes with the default options on two cores
	what    string
	measure func(context.Context, *stand) ([]Figure, error)
	waits   bool // nearly all the time: its neighbour that does so too is measured at the same time
}

// allSections are there to choose from, in the order of the table.
func allSections() []section {
	return []section{
		{"parts", "1 min", "the Go benchmarks of single steps, and the old system's write path", measureParts, false},
		{"whole", "2 min", "start to exit beside the floor, CPU and allocations a row", measureWhole, false},
		{"shards", "3 min", "1 to 64 shards beside the floor, and the old system as a whole", measureShards, false},
		{"latency", "4 min", "pages of 200 ms and of 3.2 s, 1 to 32 shards", measureLatency, true},
		{"quota", "6 min", "the true limits, known and hidden, 1 to 64 shards; while latency is measured, if both are", measureQuota, true},
		{"skew", "2 min", "half of the events in one hour", measureSkew, false},
		{"duplicates", "1 min", "a second load of everything", measureDuplicates, false},
		{"resume", "30 s", "killed at half: how soon it is back at full speed", measureResume, false},
		{"watched", "1 min", "a run whose live page somebody looks at, beside one without", measureWatched, false},
		{"size", "1 min", "CPU an event, from small to large (-sizes 300000,3000000,30000000 adds 5 min)", measureSize, false},
	}
}

// choose finds the sections of a list of names; the empty one has all.
func choose(names string) ([]section, error) {
	all := allSections()
	if names == "" {
		return all, nil
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.ContainsFunc(all, func(s section) bool { return s.name == name }) {
			return nil, fmt.Errorf("%q is no section", name)
		}
	}
	return slices.DeleteFunc(all, func(s section) bool { return !slices.Contains(wanted, s.name) }), nil
}

// sectionHelp lists the sections with what they cost.
func sectionHelp() string {
	var b strings.Builder
	for _, s := range allSections() {
		fmt.Fprintf(&b, "\n  %-10s %6s  %s", s.name, s.cost, s.what)
	}
	return b.String()
}

// extent is how much the sections measure, beside the number of events.
type extent struct {
	benchtime  string    // of the parts
	curve      []int     // numbers of shards of the section shards
	oldShare   int64     // the old system loads one in so many events: it is slow
	waits      []waiting // of the section latency
	pace       pace      // of the section quota
	quotaTime  time.Duration
	quotaSizes []int         // numbers of shards of the section quota
	pause      time.Duration // of a page of the section resume; 0: as fast as the machine can
}

// waiting is a latency, and how many pages each shard reads with it.
type waiting struct {
	page   time.Duration
	pages  int
	shards []int
}

var (
	full = extent{
		benchtime: "1s", curve: []int{1, 2, 4, 8, 64}, oldShare: 10,
		waits: []waiting{
			{200 * time.Millisecond, 20, []int{1, 2, 4, 8, 16, 32}},
			{3200 * time.Millisecond, 24, []int{1, 2, 4, 8, 16, 32}},
		},
		pace: truePace, quotaTime: 5 * time.Minute, quotaSizes: []int{1, 2, 8, 64},
	}
	// smoke only shows that everything works.
	smoke = extent{
		benchtime: "1x", curve: []int{1, 4}, oldShare: 10,
		waits: []waiting{{20 * time.Millisecond, 3, []int{1, 4}}},
		pace:  fastPace, quotaTime: 3 * time.Second, quotaSizes: []int{1, 8}, pause: 20 * time.Millisecond,
	}
)
