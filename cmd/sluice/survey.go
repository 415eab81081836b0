package main

import (
	"context"
	"encoding/json"

	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/fetch/datasync"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// planJob looks at the API and writes the job with its windows.
func (i *ingest) planJob(ctx context.Context) error {
	survey, windows, err := survey(ctx, i.client, i.settings)
	if err != nil {
		return err
	}
	i.newest, i.oldest = survey.Newest, survey.Oldest
	caps := i.client.Capabilities()
	i.log.Info("surveyed the API", "events", survey.Total, "newest", survey.Newest, "oldest", survey.Oldest,
		"requests", survey.Requests, "page", caps.PageSize, "step", caps.Step())
	encoded, err := json.Marshal(caps)
	if err != nil {
		return err
	}
	job := ledger.Job{
		Name: i.settings.job, Source: i.source.name, Span: i.settings.span(), APITotal: max(0, survey.Total), Oldest: survey.Oldest,
		Capabilities: encoded,
		Newest:       survey.Newest, Candidate: i.candidate(survey.Newest),
	}
	failpoint.Hit("plan.done")
	i.job, err = i.db.CreateJob(ctx, job, windows)
	failpoint.Hit("job.created")
	return err
}

// survey looks at the API and cuts the span into windows.
func survey(ctx context.Context, client *datasync.Client, s *settings) (datasync.Survey, []shard.Window, error) {
	found, err := client.Survey(ctx, s.span().Start)
	if err != nil {
		return found, nil, err
	}
	return found, coordinator.Plan(s.span(), found.Oldest, found.Newest, s.shards, found.Samples...), nil
}
