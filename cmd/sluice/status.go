package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/shard"
	"sluice/sink"
)

func (p *program) statusCommand() *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use: "status", Short: "Show how far a job is, from its tables alone", Args: noArgs,
		Long: "Shows how far a job is, from its tables alone: it works while a run goes on, and while none does. No request is made.",
		RunE: func(cmd *cobra.Command, _ []string) error { return p.status(cmd.Context(), &c) },
	}
	c.bind(cmd.Flags())
	return cmd
}

// jobStatus is what `sluice status --json` prints.
type jobStatus struct {
	Job        string        `json:"job"`
	Source     string        `json:"source"`
	State      string        `json:"state"`
	Running    string        `json:"running,omitempty"` // which run holds the job
	Total      int64         `json:"api_total,omitempty"`
	Events     int64         `json:"events"`
	Counts     shard.Counts  `json:"counts"`
	Verdict    string        `json:"verdict,omitempty"`
	VerifiedAt *time.Time    `json:"verified_at,omitempty"`
	Shards     []shardStatus `json:"shards"`
}

type shardStatus struct {
	Shard     int         `json:"shard"`
	Start     string      `json:"start"`
	End       string      `json:"end"`
	State     shard.State `json:"state"`
	Proof     shard.Proof `json:"proof,omitempty"`
	Place     string      `json:"place,omitempty"` // how far back it was read
	Seq       int64       `json:"seq"`
	Events    int64       `json:"events"`
	Dead      int64       `json:"dead_letters"`
	Attempts  int         `json:"attempts"`
	LastError string      `json:"last_error,omitempty"`
	Updated   time.Time   `json:"updated_at"`
}

func (p *program) status(ctx context.Context, c *common) error {
	r, found, err := p.openStatus(ctx, c)
	if err != nil {
		return err
	}
	defer r.db.Close()
	shown := describeJob(found)
	if c.json {
		return writeJSON(p.stdout, shown)
	}
	return p.printStatus(shown)
}

func describeJob(s *sink.Status) *jobStatus {
	shown := &jobStatus{Job: s.Job.Name, Source: s.Job.Source, Total: s.Job.APITotal, Verdict: s.Job.Verdict}
	if !s.Job.VerifiedAt.IsZero() {
		shown.VerifiedAt = &s.Job.VerifiedAt
	}
	if s.Holder != nil {
		shown.Running = fmt.Sprintf("%s since %s", s.Holder.Application, s.Holder.Since.UTC().Format(time.RFC3339))
	}
	done := 0
	for i := range s.Shards {
		one := describeShard(&s.Shards[i])
		shown.Shards = append(shown.Shards, one)
		shown.Counts = shown.Counts.Add(s.Shards[i].Counts)
		if one.State == shard.Done {
			done++
		}
	}
	shown.Events = shown.Counts.Events
	shown.State = jobState(shown, done)
	return shown
}

func describeShard(s *sink.ShardStatus) shardStatus {
	one := shardStatus{
		Shard: s.Shard, Start: s.Window.Start.String(), End: s.Window.End.String(), State: s.State, Proof: s.Proof, Seq: s.Seq,
		Events: s.Counts.Events, Dead: s.Counts.DeadLetters, Attempts: s.Attempts, LastError: s.LastError, Updated: s.UpdatedAt,
	}
	if !s.Resume.IsZero() {
		one.Place = s.Resume.At.String()
	}
	return one
}

func jobState(s *jobStatus, done int) string {
	switch {
	case s.VerifiedAt != nil:
		return "complete and verified"
	case s.Running != "":
		return "running"
	case done == len(s.Shards):
		return "all windows walked, not verified"
	}
	return "unfinished: `sluice run` resumes it"
}

func (p *program) printStatus(s *jobStatus) error {
	out := &printer{w: p.stdout}
	out.line("job      %s, source %s", s.Job, s.Source)
	out.line("state    %s", s.State)
	if s.Running != "" {
		out.line("run      %s", s.Running)
	}
	if s.Total > 0 {
		out.line("events   %s of %s", terminal.Number(s.Events), terminal.Number(s.Total))
	} else {
		out.line("events   %s", terminal.Number(s.Events))
	}
	out.line("records  %s received, %s duplicates, %s of other windows, %s dead letters", terminal.Number(s.Counts.Received),
		terminal.Number(s.Counts.Duplicates), terminal.Number(s.Counts.OutOfWindow), terminal.Number(s.Counts.DeadLetters))
	if s.Verdict != "" {
		out.line("verdict  %s", s.Verdict)
	}
	for _, one := range s.Shards {
		out.line("shard %3d  %-8s %12s events  [%s, %s)%s", one.Shard, one.State, terminal.Number(one.Events), one.Start, one.End, remark(one))
	}
	return out.err
}

// remark says what is not plain about a shard.
func remark(s shardStatus) string {
	switch {
	case s.State == shard.Done:
		return "  proof: " + string(s.Proof)
	case s.LastError != "":
		return "  " + s.LastError
	case s.Place != "":
		return "  read back to " + s.Place
	}
	return ""
}
