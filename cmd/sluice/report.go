package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/page"
	"sluice/cmd/sluice/internal/view"
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
func (r *reader) view(ctx context.Context, s *sink.Status) (*view.View, error) {
	v := &view.View{
		Job: s.Job.Name, Source: s.Job.Source, Version: version, Started: s.Job.CreatedAt, At: time.Now(), Total: s.Job.APITotal,
		Phase: view.Ingesting, Verdict: s.Job.Verdict,
	}
	if !s.Job.VerifiedAt.IsZero() {
		v.Phase = view.Ended
	}
	v.Stored = s.Earlier.Events
	if s.Job.Round > 1 {
		v.Round, v.Watermark, v.Rounds = s.Job.Round, pointInTime(s.Job.Watermark), roundsOf(s.Rounds)
	}
	report(v, s)
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
		v.Quotas = append(v.Quotas, view.Quota{Endpoint: q.Endpoint, Limit: q.Limit, Window: q.Window.Seconds()})
	}
	steps, err := r.db.OverTime(ctx, s.Job)
	for _, step := range steps {
		v.History = append(v.History, view.Point{At: step.At, Stored: step.Rows})
	}
	return v, err
}

// report puts the shards on v, with what the ledger alone knows of them.
func report(v *view.View, s *sink.Status) {
	progress := progressOf(checkpointsOf(s))
	known := map[int]*sink.ShardStatus{}
	for i := range s.Shards {
		known[s.Shards[i].Shard] = &s.Shards[i]
	}
	line(v, progress, drawnOf(s, progress, v.At))
	for i := range v.Shards {
		one := &v.Shards[i]
		cp := known[one.Number]
		one.Proof, one.Attempts, one.Error = string(cp.Proof), cp.Attempts, cp.LastError
		if !cp.StartedAt.IsZero() {
			one.Took = cp.UpdatedAt.Sub(cp.StartedAt).Seconds()
		}
		v.Stored += one.Events
	}
}

// facts are the figures of a job, each with its name.
func facts(s *sink.Status, v *view.View) []page.Facts {
	shown := describeJob(s)
	return []page.Facts{{Name: "the records", Facts: recordFacts(shown)}, {Name: "the work", Facts: workFacts(s, shown, v)}}
}

func recordFacts(shown *jobStatus) (facts []page.Fact) {
	add := func(name string, n int64) { facts = append(facts, page.Fact{Name: name, Value: view.Number(n)}) }
	if shown.Total > 0 {
		add("the API counted at the start", shown.Total)
	}
	add("received", shown.Counts.Received)
	add("events", shown.Counts.Events)
	add("duplicates", shown.Counts.Duplicates)
	add("of other windows", shown.Counts.OutOfWindow)
	add("dead letters", shown.Counts.DeadLetters)
	add("out of order", shown.Counts.OutOfOrder)
	return facts
}

// workFacts say when it was done, how fast, and how often it had to begin again.
func workFacts(s *sink.Status, shown *jobStatus, v *view.View) (facts []page.Fact) {
	add := func(name, value string) { facts = append(facts, page.Fact{Name: name, Value: value}) }
	add("job made", s.Job.CreatedAt.UTC().Format(time.DateTime))
	if n := len(v.History); n > 1 {
		first, last := v.History[0], v.History[n-1]
		took := last.At.Sub(first.At)
		add("last row", last.At.UTC().Format(time.DateTime))
		add("from the first row to the last", view.Short(took))
		add("events a second, pauses included", view.Number(int64(float64(last.Stored)/max(took.Seconds(), 0.001))))
	}
	if shown.VerifiedAt != nil {
		add("verified", shown.VerifiedAt.UTC().Format(time.DateTime))
	} else if shown.Running != "" { // of a verified job the session of a run that has just ended may linger
		add("running now", shown.Running)
	}
	add("attempts at windows", attempts(s))
	return facts
}

// attempts counts the tries: each window needs one, and every other is a fault or a stop that was got over.
func attempts(s *sink.Status) string {
	all, begun := 0, 0
	for i := range s.Shards {
		if n := s.Shards[i].Attempts; n > 0 {
			all, begun = all+n, begun+1
		}
	}
	return fmt.Sprintf("%d, %d of them again", all, all-begun)
}
