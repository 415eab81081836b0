package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator"
	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/sink"
)

// show draws the progress of a coordinator until the returned function is called.
func (i *ingest) show(ctx context.Context, c *coordinator.Coordinator) func() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var drawing sync.WaitGroup
	drawing.Go(i.guarded(func() {
		terminal.Show(ctx, i.console, i.environ, i.json, func() terminal.View { return i.view(c.Progress()) })
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
	status, traffic := i.pacer.Status(), i.client.Traffic()
	v := terminal.View{
		Job: i.settings.job, Total: total, Stored: i.earlier.Events + s.Before + s.Events, Reject: s.Rejected, Repeated: traffic.Retries,
		Refused: traffic.ListRefused + traffic.StreamRefused, Limit: i.limitedBy(s, status), Quotas: viewQuotas(status),
	}
	v.Paused = i.pauseWords()
	line := i.drawn(s.Shards, time.Now())
	for k := range s.Shards {
		v.Shards = append(v.Shards, viewShard(&s.Shards[k], line))
	}
	return v
}

func viewShard(s *coordinator.ShardProgress, line shard.Window) terminal.Shard {
	seen := seenShard(s, line)
	from := max(s.Window.Start, line.Start)
	return terminal.Shard{
		Number: seen.Number, Parent: seen.Parent, Start: int64(s.Window.Start), From: from.Time().UTC().Format("2006-01-02 15:04"), State: seen.State,
		Doing: seen.Doing, Share: seen.Read, Events: seen.Events,
	}
}

func viewQuotas(status []quota.Status) (quotas []terminal.Quota) {
	for _, q := range status {
		quotas = append(quotas, terminal.Quota{
			Endpoint: q.Name, Recent: q.Recent, Limit: q.Limit.N, Window: q.Limit.Window, Used: q.Used,
		})
	}
	return quotas
}

// limitedBy says what holds the run back right now.
func (i *ingest) limitedBy(s coordinator.Snapshot, quotas []quota.Status) string {
	quota := scarce(quotas, s.Active)
	since, err := i.db.Waiting()
	_, paused := i.pause.Paused()
	switch {
	case paused:
		return youPaused
	case errors.Is(err, sink.ErrDiskFull):
		return fmt.Sprintf("the database's disk, full for %s", view.Short(time.Since(since)))
	case err != nil:
		return fmt.Sprintf("the database, away for %s", view.Short(time.Since(since)))
	case s.Active == 0:
		return ""
	case 2*s.Queueing >= s.Active:
		return "the database"
	case quota != "":
		return quota
	}
	return "the API's latency"
}

// scarce names the quotas that half of those at work wait for, at least; "" if there is none.
func scarce(quotas []quota.Status, active int) string {
	var names []string
	for _, q := range quotas {
		if 2*q.Waiting >= active {
			names = append(names, q.Name)
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("the quota of the API's %s", names[0])
	}
	return "the API's quotas"
}

// waits says what a shard in this phase waits for, to those who wonder why nothing is committed.
func (i *ingest) waits(phase shard.Phase) string {
	since, err := i.db.Waiting()
	switch {
	case !phase.AtSource() && err != nil:
		return fmt.Sprintf("the database, which takes no commits since %s: %v;", since.UTC().Format(time.RFC3339), err)
	case !phase.AtSource():
		return "the database, or for memory"
	case phase == shard.Paused:
		return "you to end the pause"
	}
	words := "an answer of the API"
	for _, q := range i.pacer.Status() {
		switch {
		case time.Now().Before(q.PausedUntil):
			words += fmt.Sprintf(", whose %s is paused until %s", q.Name, q.PausedUntil.UTC().Format(time.RFC3339))
		case q.Waiting > 0:
			words += fmt.Sprintf(", whose %s has a quota of %s", q.Name, q.Limit)
		}
	}
	return words
}
