package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/live"
	"sluice/cmd/sluice/internal/page"
	"sluice/cmd/sluice/internal/terminal"
	"sluice/coordinator"
	"sluice/sink"
)

func (p *program) reportCommand() *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use: "report", Short: "Write a page about a job: what was ingested, when, how fast, and whether it is complete", Args: noArgs,
		Long: "Writes one self-contained HTML page about a finished or unfinished job to stdout, from its tables alone.\n" +
			"It reads all of ingested_events, to say how fast the rows came in. No request is made.",
		Example: "  sluice report > report.html\n  sluice report --job=january > january.html",
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.writeReport(cmd.Context(), &c) },
	}
	cmd.Flags().StringVar(&c.job, "job", "default", "name of the job: one source and one span")
	c.bindLog(cmd.Flags())
	return cmd
}

// writeReport writes the page.
func (p *program) writeReport(ctx context.Context, c *common) error {
	r, found, err := p.openStatus(ctx, c)
	if err != nil {
		return err
	}
	defer r.db.Close()
	v, err := r.view(ctx, found)
	if err != nil {
		return unreachable(err)
	}
	return page.Report(p.stdout, v, facts(found, v))
}

// view is the job as its tables tell it.
func (r *reader) view(ctx context.Context, s *sink.Status) (*live.View, error) {
	v := &live.View{
		Job: s.Job.Name, Source: s.Job.Source, Version: version, Started: s.Job.CreatedAt, At: time.Now(), Total: s.Job.APITotal,
		Phase: live.Ingesting, Verdict: s.Job.Verdict,
	}
	if !s.Job.VerifiedAt.IsZero() {
		v.Phase = live.Ended
	}
	v.Shards = reported(s)
	for i := range v.Shards {
		v.Stored += v.Shards[i].Events
	}
	letters, err := r.db.DeadLetterReasons(ctx, s.Job.ID)
	if err != nil {
		return nil, err
	}
	v.Letters = lettersOf(letters)
	quotas, err := r.db.LoadQuotas(ctx, s.Job.Source)
	if err != nil {
		return nil, err
	}
	for _, q := range quotas {
		v.Quotas = append(v.Quotas, live.Quota{Endpoint: q.Endpoint, Limit: q.Limit, Window: q.Window.Seconds()})
	}
	steps, err := r.db.OverTime(ctx, s.Job)
	for _, step := range steps {
		v.History = append(v.History, live.Point{At: step.At, Stored: step.Rows})
	}
	return v, err
}

func reported(s *sink.Status) []live.Shard {
	var progress []coordinator.ShardProgress
	for i := range s.Shards {
		progress = append(progress, progressOf(&s.Shards[i].Checkpoint))
	}
	line := guessed(progress, time.Now())
	var shards []live.Shard
	for i := range progress {
		one, cp := seenShard(&progress[i], line), &s.Shards[i]
		one.Proof, one.Attempts, one.Error = string(cp.Proof), cp.Attempts, cp.LastError
		if !cp.StartedAt.IsZero() {
			one.Took = cp.UpdatedAt.Sub(cp.StartedAt).Seconds()
		}
		shards = append(shards, one)
	}
	return shards
}

// facts are the figures of a job, each with its name.
func facts(s *sink.Status, v *live.View) []page.Fact {
	shown := describeJob(s)
	facts := []page.Fact{{Name: "events stored", Value: terminal.Number(shown.Events)}}
	add := func(name, format string, args ...any) {
		facts = append(facts, page.Fact{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	if shown.Total > 0 {
		add("the API counted at the start", "%s", terminal.Number(shown.Total))
	}
	add("records received", "%s", terminal.Number(shown.Counts.Received))
	add("duplicates", "%s", terminal.Number(shown.Counts.Duplicates))
	add("of other windows", "%s", terminal.Number(shown.Counts.OutOfWindow))
	add("dead letters", "%s", terminal.Number(shown.Counts.DeadLetters))
	add("out of order", "%s", terminal.Number(shown.Counts.OutOfOrder))
	add("job made", "%s", s.Job.CreatedAt.UTC().Format(time.DateTime))
	if shown.VerifiedAt != nil {
		add("verified", "%s", shown.VerifiedAt.UTC().Format(time.DateTime))
	}
	if n := len(v.History); n > 1 {
		took := v.History[n-1].At.Sub(v.History[0].At)
		add("events a second, pauses included", "%s", terminal.Number(int64(float64(v.History[n-1].Stored)/max(took.Seconds(), 0.001))))
	}
	if shown.Running != "" && shown.VerifiedAt == nil { // the session of a run that has just ended may linger
		add("running now", "%s", shown.Running)
	}
	return facts
}
