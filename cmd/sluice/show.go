package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/coordinator"
	"sluice/fetch"
	"sluice/shard"
	"sluice/sink"
)

// show draws the progress of a coordinator until the returned function is called.
func (i *ingest) show(ctx context.Context, c *coordinator.Coordinator) func() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var drawing sync.WaitGroup
	drawing.Go(i.guarded(func() {
		terminal.Show(ctx, i.console, i.environ, func() terminal.View { return i.view(c.Progress()) })
	}))
	return func() {
		cancel()
		drawing.Wait()
	}
}

func (i *ingest) view(s coordinator.Snapshot) terminal.View {
	total, _ := i.client.Total()
	if i.settings.span() != unbounded {
		total = 0 // the API counts all events, not those of a span
	}
	status := i.pacer.Status()
	return terminal.View{
		Total: total, Stored: s.Before + s.Events, Shards: len(s.Shards), Done: s.Done, Failed: s.Failed, Active: s.Active,
		Reject: s.Rejected, Limit: i.limitedBy(s, status), Quota: quotaLine(status),
	}
}

// limitedBy says what holds the run back right now.
func (i *ingest) limitedBy(s coordinator.Snapshot, quotas []fetch.QuotaStatus) string {
	waiting := 0
	for _, q := range quotas {
		waiting = max(waiting, q.Waiting)
	}
	since, err := i.db.Waiting()
	switch {
	case errors.Is(err, sink.ErrDiskFull):
		return fmt.Sprintf("the database's disk, full for %s", terminal.Short(time.Since(since)))
	case err != nil:
		return fmt.Sprintf("the database, away for %s", terminal.Short(time.Since(since)))
	case s.Active == 0:
		return ""
	case 2*s.Queueing >= s.Active:
		return "the database"
	case 2*waiting >= s.Active:
		return "the API's quotas"
	}
	return "the API's latency"
}

// waits says what a shard in this phase waits for, to those who wonder why nothing is committed.
func (i *ingest) waits(phase shard.Phase) string {
	since, err := i.db.Waiting()
	switch {
	case !phase.AtSource() && err != nil:
		return fmt.Sprintf("the database, which takes no commits since %s: %v;", since.UTC().Format(time.RFC3339), err)
	case !phase.AtSource():
		return "the database, or for memory"
	}
	words := "an answer of the API"
	for _, q := range i.pacer.Status() {
		switch {
		case time.Now().Before(q.PausedUntil):
			words += fmt.Sprintf(", whose %s is paused until %s", q.Endpoint, q.PausedUntil.UTC().Format(time.RFC3339))
		case q.Waiting > 0:
			words += fmt.Sprintf(", whose %s has a quota of %s", q.Endpoint, q.Limit)
		}
	}
	return words
}

// quotaLine tells how much of the allowed requests was used.
func quotaLine(quotas []fetch.QuotaStatus) string {
	var parts []string
	for _, q := range quotas {
		if q.Limit.N > 0 {
			parts = append(parts, fmt.Sprintf("%s %d/%d", q.Endpoint, q.Recent, q.Limit.N))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "quota " + strings.Join(parts, " ")
}
