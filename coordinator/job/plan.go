package job

import (
	"context"

	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// Planned is what a first load would do.
type Planned struct {
	shard.Survey
	Windows []shard.Window // oldest first
	Pages   int64          // expected requests for them; 0 if the source gives no number
}

// Plan surveys a source and cuts a span into windows. Nothing is stored.
func Plan(ctx context.Context, source Source, span shard.Window, shards int) (*Planned, error) {
	found, err := source.Survey(ctx, span.Start)
	if err != nil {
		return nil, err
	}
	p := &Planned{Survey: found, Windows: coordinator.Plan(span, found.Oldest, found.Newest, shards, found.Samples...)}
	if found.Total >= 0 && found.PageSize > 0 {
		// The last page of each window is half empty on average, and the end of the data is read twice.
		p.Pages = found.Total/int64(found.PageSize) + int64(len(p.Windows)+1)/2 + 1
	}
	return p, nil
}

// create surveys the source and writes the job with its windows.
func (j *Job) create(ctx context.Context) error {
	plan, err := Plan(ctx, j.source, j.config.Span, j.config.Shards)
	if err != nil {
		return err
	}
	j.config.Log.Info("surveyed the API", "events", plan.Total, "newest", plan.Newest, "oldest", plan.Oldest,
		"requests", plan.Requests, "page", plan.PageSize, "step", plan.Step)
	learned, err := j.source.Learned()
	if err != nil {
		return err
	}
	failpoint.Hit("plan.done")
	job, err := j.store.CreateJob(ctx, ledger.Job{
		Name: j.config.Name, Source: j.config.SourceName, Span: j.config.Span, APITotal: max(0, plan.Total), Oldest: plan.Oldest,
		Capabilities: learned, Newest: plan.Newest, Candidate: j.candidate(plan.Newest),
	}, plan.Windows)
	if err != nil {
		return err
	}
	j.note(func() { j.job, j.survey = job, plan.Survey })
	failpoint.Hit("job.created")
	return nil
}
