package coordinator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/shard"
)

// What a shard waits for while none of its pages is on the way.
const (
	forPlace = "a fetcher's place"
	forBegin = "the database, to begin an attempt"
	forPause = "its next attempt"
)

// wait is what a shard waits for, outside of an attempt, and the fault that it could not get over yet.
type wait struct {
	what  string // empty: an attempt is under way, its meter knows
	since time.Time
	fault error // since the shard's last commit
	first time.Time
}

// waits notes what a shard waits for.
func (p *progress) waits(number int, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.shards[number]; t != nil {
		t.wait.what, t.wait.since = what, time.Now()
	}
}

// faulted notes why an attempt ended; the first of a row of faults says since when.
func (p *progress) faulted(number int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.shards[number]
	if t == nil {
		return
	}
	if t.wait.fault == nil {
		t.wait.first = time.Now()
	}
	t.wait.fault = err
}

func (p *progress) committed(number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.shards[number]; t != nil {
		t.wait.fault = nil
	}
}

// Waits says of every shard with work left what it waits for, and since when: those that wait for the same in one line.
func (c *Coordinator) Waiting() []string {
	p := c.shards
	p.mu.Lock()
	defer p.mu.Unlock()
	numbers, since := map[string][]int{}, map[string]time.Time{}
	for _, number := range p.order {
		t := p.shards[number]
		if t.state == shard.Done || t.state == shard.Failed {
			continue
		}
		words, from := c.describe(t)
		numbers[words] = append(numbers[words], number)
		if first, known := since[words]; !known || from.Before(first) {
			since[words] = from
		}
	}
	var lines []string
	for words, which := range numbers {
		lines = append(lines, fmt.Sprintf("%s for %s since %s", listed(which), words, since[words].UTC().Format(time.RFC3339)))
	}
	slices.Sort(lines)
	return lines
}

// describe returns what one shard waits for. After a fault, since the first of the row: each attempt begins to wait anew.
func (c *Coordinator) describe(t *track) (words string, since time.Time) {
	words, since = t.wait.what, t.wait.since
	if words == "" {
		words = c.config.DescribePhase(shard.Phase(t.meter.Phase.Load()))
		since = time.Unix(0, cmp.Or(t.meter.Since.Load(), since.UnixNano()))
	}
	if t.wait.fault != nil {
		return fmt.Sprintf("%s after %q", words, t.wait.fault), t.wait.first
	}
	return words, since
}

// listed returns "shard 3 waits" or "shards 1, 2, 5 wait"; of many only the first.
func listed(numbers []int) string {
	const most = 8
	if len(numbers) == 1 {
		return fmt.Sprintf("shard %d waits", numbers[0])
	}
	slices.Sort(numbers)
	var names []string
	for _, n := range numbers[:min(len(numbers), most)] {
		names = append(names, fmt.Sprint(n))
	}
	list := strings.Join(names, ", ")
	if more := len(numbers) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return "shards " + list + " wait"
}

// plainly is how a phase is put into words by those who know no more.
func plainly(p shard.Phase) string {
	switch {
	case p.AtSource():
		return "the API"
	case p == shard.Queueing:
		return "the database, or for memory"
	}
	return "the commit of what was fetched"
}
