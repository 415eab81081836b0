package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink"
)

func (p *program) statusCommand() *cobra.Command {
	var c common
	var watch bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show how far a job is, from its tables alone", Args: noArgs,
		Long: "Shows how far a job is, from its tables alone: it works while a run goes on, and while none does, from any machine that\n" +
			"reaches the database. No request is made.\n\n" +
			"--watch looks every 2 s, until the job is complete and verified, or Ctrl-C: as bars on a terminal, a line every 5 s\n" +
			"elsewhere, and with --json as one JSON object a line.",
		Example: "  sluice status\n  sluice status --watch\n  sluice status --json | jq .state\n  sluice status --job=january",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return p.watchStatus(cmd.Context(), &c)
			}
			return p.status(cmd.Context(), &c)
		},
	}
	c.bind(cmd.Flags())
	cmd.Flags().BoolVar(&watch, "watch", false, "go on looking until the job is complete and verified")
	return cmd
}

// jobStatus is what `sluice status --json` prints.
type jobStatus struct {
	Job        string        `json:"job"`
	Source     string        `json:"source"`
	State      string        `json:"state"`
	Running    string        `json:"running,omitempty"` // which run holds the job
	Paused     bool          `json:"paused"`            // by its operator
	Round      int           `json:"round"`
	Watermark  *time.Time    `json:"watermark,omitempty"`
	Total      int64         `json:"api_total,omitempty"`
	Events     int64         `json:"events"`
	Counts     shard.Counts  `json:"counts"`
	Verdict    string        `json:"verdict,omitempty"`
	VerifiedAt *time.Time    `json:"verified_at,omitempty"`
	Rounds     []view.Round  `json:"rounds,omitempty"` // the last ones, the newest first
	Quotas     []statusQuota `json:"quotas"`
	Shards     []shardStatus `json:"shards"`
}

type shardStatus struct {
	Shard     int         `json:"shard"`
	Parent    int         `json:"part_of,omitempty"` // the shard that it was split from
	Start     string      `json:"start"`
	End       string      `json:"end"`
	State     shard.State `json:"state"`
	Proof     shard.Proof `json:"proof,omitempty"`
	Place     string      `json:"place,omitempty"` // how far back it was read
	Read      float64     `json:"read"`            // share of the window's time, guessed where the window is open
	Seq       int64       `json:"seq"`
	Events    int64       `json:"events"`
	Dead      int64       `json:"dead_letters"`
	Attempts  int         `json:"attempts"`
	LastError string      `json:"last_error,omitempty"`
	Updated   time.Time   `json:"updated_at"`
}

// statusQuota is what the tables know of one endpoint's allowance.
type statusQuota struct {
	Endpoint  string     `json:"endpoint"`
	Limit     int        `json:"limit"` // 0: not known, -1: none
	Window    float64    `json:"window_seconds"`
	Recent    int        `json:"recent"` // requests in the window that ends now
	NotBefore *time.Time `json:"not_before,omitempty"`
}

func (p *program) status(ctx context.Context, c *common) error {
	r, found, err := p.openStatus(ctx, c)
	if err != nil {
		return err
	}
	defer r.db.Close()
	shown, err := r.describe(ctx, found)
	if err != nil {
		return unreachable(err)
	}
	if c.json {
		return writeJSON(p.stdout, shown)
	}
	return p.printStatus(shown, time.Now())
}

// describe is a job with what is known of its source's quotas.
func (r *reader) describe(ctx context.Context, s *sink.Status) (*jobStatus, error) {
	shown := describeJob(s)
	quotas, err := r.db.LoadQuotas(ctx, s.Job.Source)
	now := time.Now()
	for _, q := range quotas {
		one := statusQuota{Endpoint: q.Endpoint, Limit: q.Limit, Window: q.Window.Seconds()}
		for _, at := range q.Sent {
			if now.Sub(at) < q.Window {
				one.Recent++
			}
		}
		if q.NotBefore.After(now) {
			one.NotBefore = &q.NotBefore
		}
		shown.Quotas = append(shown.Quotas, one)
	}
	return shown, err
}

func describeJob(s *sink.Status) *jobStatus {
	shown := &jobStatus{
		Job: s.Job.Name, Source: s.Job.Source, Total: countable(s.Job), Verdict: s.Job.Verdict, Counts: s.Earlier,
		Round: s.Job.Round, Rounds: roundsOf(s.Rounds), Watermark: pointInTime(s.Job.Watermark), Quotas: []statusQuota{},
	}
	if !s.Job.VerifiedAt.IsZero() {
		shown.VerifiedAt = &s.Job.VerifiedAt
	}
	if s.Holder != nil {
		shown.Paused = s.Paused
		shown.Running = fmt.Sprintf("%s since %s", s.Holder.Application, s.Holder.Since.UTC().Format(time.RFC3339))
	}
	done := 0
	read, parents := sharesOf(s), coordinator.Parents(checkpointsOf(s))
	for i := range s.Shards {
		one := describeShard(&s.Shards[i])
		one.Read, one.Parent = read[i], parents[one.Shard]
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

// sharesOf returns how much of the time of each window was read.
func sharesOf(s *sink.Status) []float64 {
	progress := progressOf(checkpointsOf(s))
	drawn := drawnOf(s, progress, time.Now())
	shares := make([]float64, len(progress))
	for i := range progress {
		shares[i] = seenShard(&progress[i], drawn).Read
	}
	return shares
}

// countable is the API's total where it says something: it counts all events, not those of a span.
func countable(job *ledger.Job) int64 {
	if job.Span != unbounded {
		return 0
	}
	return job.APITotal
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
	case s.Paused:
		return "paused by you: SIGUSR1 to its process goes on, SIGTERM ends it"
	case s.VerifiedAt != nil && s.Round > 1 && s.Running != "":
		return "complete and verified, and kept current by a run"
	case s.VerifiedAt != nil && s.Round > 1 && done < len(s.Shards):
		return "round unfinished: `sluice sync` or `sluice follow` resumes it"
	case s.VerifiedAt != nil:
		return "complete and verified"
	case s.Running != "":
		return "running"
	case done == len(s.Shards):
		return "all windows walked, not verified"
	}
	return "unfinished: `sluice run` resumes it"
}

func (p *program) printStatus(s *jobStatus, now time.Time) error {
	out := terminal.NewPaper(p.stdout, p.environ)
	out.Fact("job", "%s, of %s", s.Job, s.Source)
	out.Fact("state", "%s", s.State)
	if s.Running != "" {
		out.Fact("run", "%s", s.Running)
	}
	if s.Total > 0 {
		out.Fact("events", "%s of %s (%s)", view.Number(s.Events), view.Number(s.Total), view.Percent(float64(s.Events)/float64(s.Total)))
	} else {
		out.Fact("events", "%s", view.Number(s.Events))
	}
	out.Fact("records", "%s received: %s duplicates, %s of other windows, %s dead letters", view.Number(s.Counts.Received),
		view.Number(s.Counts.Duplicates), view.Number(s.Counts.OutOfWindow), view.Number(s.Counts.DeadLetters))
	for _, q := range s.Quotas {
		out.Fact("quota", "%s", q.words(now))
	}
	if s.Watermark != nil {
		out.Fact("round", "%d, watermark %s, %s ago", s.Round, s.Watermark.Format(time.RFC3339), view.Short(now.Sub(*s.Watermark)))
	}
	lagLine(out, s, now)
	if s.Verdict != "" {
		out.Fact("verdict", "%s", s.Verdict)
	}
	out.Line("")
	if len(s.Rounds) > 1 {
		out.Table(roundTable(s))
		out.Line("")
	}
	out.Table(statusTable(out, s, now))
	return out.Err()
}

func (q *statusQuota) words(now time.Time) string {
	words := fmt.Sprintf("%s: %d requests", q.Endpoint, q.Recent)
	window := view.Short(time.Duration(q.Window * float64(time.Second)))
	switch {
	case q.Limit > 0:
		words += fmt.Sprintf(" in the last %s, of %d", window, q.Limit)
	case q.Limit < 0:
		words += ", no limit"
	default:
		words += ", its limit is not known yet"
	}
	if q.NotBefore != nil {
		words += ", paused for " + view.Short(q.NotBefore.Sub(now))
	}
	return words
}

func statusTable(out *terminal.Paper, s *jobStatus, now time.Time) terminal.Table {
	t := terminal.Table{Heads: []string{">shard", "from", "to", "state", "read", ">events", ">dead", "last commit", ""}}
	for i := range s.Shards {
		one := &s.Shards[i]
		last := "–"
		if one.Seq > 0 {
			last = view.Ago(one.Updated, now)
		}
		t.Rows = append(t.Rows, []terminal.Cell{
			terminal.Text("%d", one.Shard), terminal.Faint("%s", minute(one.Start)), terminal.Faint("%s", minute(one.End)),
			stateOf(one, s), out.Bar(one.Read, 12, string(one.State)), terminal.Text("%s", view.Number(one.Events)),
			terminal.Text("%s", view.Number(one.Dead)), terminal.Faint("%s", last), remark(one),
		})
	}
	return t
}

// stateOf is the state of a shard for people: one that is running in the ledger, while no run holds the job, was left by one that
// was killed.
func stateOf(one *shardStatus, job *jobStatus) terminal.Cell {
	if one.State == shard.Running && job.Running == "" {
		return terminal.Notice("left")
	}
	return terminal.State(string(one.State))
}

// minute shortens an instant for a table: 2026-01-27 19:20. The open ends stay as they are.
func minute(instant string) string { return inLayout(instant, "2006-01-02 15:04") }

func inLayout(instant, layout string) string {
	t, err := time.Parse(time.RFC3339, instant)
	if err != nil {
		return instant
	}
	return t.UTC().Format(layout)
}

// remark says what a shard was split from, and why one that is not done is not.
func remark(s *shardStatus) (said terminal.Cell) {
	if s.Parent != 0 {
		said = terminal.Faint("part of %d  ", s.Parent)
	}
	if s.State != shard.Done {
		said = append(said, terminal.Notice(s.LastError)...)
	}
	return said
}
