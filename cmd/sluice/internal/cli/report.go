package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/page"
	"sluice/cmd/sluice/internal/view"
)

func (p *Program) reportCommand() *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use: "report", Short: "Write a page about a job: what was ingested, when, how fast, and whether it is complete", Args: noArgs,
		Long: "Writes one self-contained HTML page about a finished or unfinished job to stdout, from its tables alone.\n" +
			"It reads all of ingested_events, to say how fast the rows came in. No request is made.",
		Example: "  sluice report > report.html\n  sluice report --job=january > january.html",
		RunE:    p.reading(&c, p.writeReport),
	}
	cmd.Flags().StringVar(&c.job, "job", "default", "name of the job: one source and one span")
	bindSchema(cmd.Flags(), &c.schema)
	c.bindLog(cmd.Flags())
	return cmd
}

// writeReport writes the page.
func (p *Program) writeReport(ctx context.Context, r *reader) error {
	v, err := r.report(ctx)
	if err != nil {
		return unreachable(err)
	}
	v.Version = p.version()
	return page.Report(p.Stdout, v, []page.Facts{{Name: "the records", Facts: recordFacts(v)}, {Name: "the work", Facts: workFacts(v)}})
}

// report returns the job as its tables show it, with its history.
func (r *reader) report(ctx context.Context) (*view.View, error) {
	v, err := r.view(ctx)
	if err != nil {
		return nil, err
	}
	if v.Letters, err = r.db.DeadLetterReasons(ctx, r.job.ID); err != nil {
		return nil, err
	}
	steps, err := r.db.OverTime(ctx, r.job)
	for _, step := range steps {
		v.History = append(v.History, view.Point{At: step.At, Stored: step.Rows})
	}
	return v, err
}

func recordFacts(v *view.View) (facts []page.Fact) {
	add := func(name string, n int64) { facts = append(facts, page.Fact{Name: name, Value: view.Number(n)}) }
	if v.Total > 0 {
		add("the API counted at the start", v.Total)
	}
	add("received", v.Counts.Received)
	add("events", v.Counts.Events)
	add("duplicates", v.Counts.Duplicates)
	add("of other windows", v.Counts.OutOfWindow)
	add("dead letters", v.Counts.DeadLetters)
	add("out of order", v.Counts.OutOfOrder)
	return facts
}

// workFacts are when the job was done, how fast, and in how many attempts: each shard needs one, any other follows a fault or a stop.
func workFacts(v *view.View) (facts []page.Fact) {
	add := func(name, value string) { facts = append(facts, page.Fact{Name: name, Value: value}) }
	add("job made", v.Started.UTC().Format(time.DateTime))
	if n := len(v.History); n > 1 {
		first, last := v.History[0], v.History[n-1]
		took := last.At.Sub(first.At)
		add("last row", last.At.UTC().Format(time.DateTime))
		add("from the first row to the last", view.Short(took))
		add("events per second, pauses included", view.Number(int64(float64(last.Stored)/max(took.Seconds(), 0.001))))
	}
	if !v.VerifiedAt.IsZero() {
		add("verified", v.VerifiedAt.UTC().Format(time.DateTime))
	} else if v.Holder != "" { // of a verified job the session of a run that has just ended may linger
		add("running now", v.Holder)
	}
	attempts, begun := 0, 0
	for i := range v.Shards {
		if n := v.Shards[i].Attempts; n > 0 {
			attempts, begun = attempts+n, begun+1
		}
	}
	add("attempts at shards", fmt.Sprintf("%d (%d retries)", attempts, attempts-begun))
	return facts
}
