package cli

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
	"sluice/shard"
)

func (p *Program) statusCommand() *cobra.Command {
	var c common
	var watch bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show how far a job is, from its tables alone", Args: noArgs,
		Long: "Shows how far a job is, from its tables alone: with or without a run at work, from any machine that reaches the\n" +
			"database. No API request is made.\n\n" +
			"--watch refreshes every 2 s until the job is complete and verified, or Ctrl-C: as bars on a terminal, a line every 5 s\n" +
			"elsewhere, and with --json as one JSON object a line.",
		Example: "  sluice status\n  sluice status --watch\n  sluice status --json | jq .state\n  sluice status --job=january",
		RunE: p.reading(&c, func(ctx context.Context, r *reader) error {
			v, err := r.view(ctx)
			switch {
			case err != nil:
				return unreachable(err)
			case watch:
				return p.watchStatus(ctx, r, v, c.json)
			case c.json:
				return writeJSON(p.Stdout, statusOf(v))
			}
			return p.printStatus(v)
		}),
	}
	c.bind(cmd.Flags())
	cmd.Flags().BoolVar(&watch, "watch", false, "refresh until the job is complete and verified")
	return cmd
}

// jobStatus is what `sluice status --json` prints: a view by the names of that command.
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
	VerifiedAt time.Time     `json:"verified_at,omitzero"`
	Rounds     []view.Round  `json:"rounds,omitempty"` // the last ones, the newest first
	Quotas     []statusQuota `json:"quotas"`
	Shards     []statusShard `json:"shards"`
}

// statusShard is a view.Shard by other names.
type statusShard struct {
	Number   int       `json:"shard"`
	Parent   int       `json:"part_of,omitempty"`
	State    string    `json:"state"`
	Start    string    `json:"start"`
	End      string    `json:"end"`
	From     float64   `json:"-"`
	To       float64   `json:"-"`
	Read     float64   `json:"read"`
	Place    string    `json:"place,omitempty"`
	Events   int64     `json:"events"`
	Rejected int64     `json:"dead_letters"`
	Pages    int64     `json:"-"`
	Doing    string    `json:"-"`
	Commit   time.Time `json:"-"`
	Took     float64   `json:"-"`
	Attempts int       `json:"attempts"`
	Proof    string    `json:"proof,omitempty"`
	Error    string    `json:"last_error,omitempty"`
	Seq      int64     `json:"seq"`
	Updated  time.Time `json:"updated_at"`
}

// statusQuota is a view.Quota by other names, as far as the tables know it.
type statusQuota struct {
	Endpoint    string     `json:"endpoint"`
	Limit       int        `json:"limit"`
	Window      float64    `json:"window_seconds"`
	Known       string     `json:"-"`
	Recent      int        `json:"recent"`
	Used        float64    `json:"-"`
	Waiting     int        `json:"-"`
	PausedUntil *time.Time `json:"not_before,omitempty"`
}

func statusOf(v *view.View) *jobStatus {
	s := &jobStatus{
		Job: v.Job, Source: v.Source, State: v.State, Running: v.Holder, Paused: v.Paused != nil, Round: v.Round, Watermark: v.Watermark,
		Total: v.Total, Events: v.Counts.Events, Counts: v.Counts, Verdict: v.Verdict, VerifiedAt: v.VerifiedAt, Rounds: v.Rounds,
		Quotas: []statusQuota{},
	}
	for _, q := range v.Quotas {
		s.Quotas = append(s.Quotas, statusQuota(q))
	}
	for _, one := range v.Shards {
		s.Shards = append(s.Shards, statusShard(one))
	}
	return s
}

// statusEvery is how often `sluice status --watch` reads the tables.
const statusEvery = 2 * time.Second

// watchStatus shows a job until it is complete and verified, or until a signal, which is no failure here.
func (p *Program) watchStatus(ctx context.Context, r *reader, newest *view.View, asJSON bool) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if asJSON {
		return p.watchJSON(ctx, r, newest)
	}
	if newest.VerifiedAt.IsZero() {
		p.say("job %s, of %s: Ctrl-C ends this display, not the run", newest.Job, newest.Source)
		if newest, err = p.watchBars(ctx, r, newest); err != nil {
			return unreachable(err)
		}
	}
	return p.printStatus(newest)
}

// watchBars draws the progress of a job until it is verified, or until ctx ends, and returns the newest view.
func (p *Program) watchBars(ctx context.Context, r *reader, newest *view.View) (*view.View, error) {
	shown, end := context.WithCancel(ctx)
	defer end()
	var failed error
	terminal.Show(shown, terminal.NewConsole(p.Stdout), p.Environ, false, func() view.View {
		if time.Since(newest.At) >= statusEvery && shown.Err() == nil {
			v, err := r.view(ctx)
			if err == nil {
				newest = v
			} else if ctx.Err() == nil {
				failed = err
			}
		}
		if failed != nil || !newest.VerifiedAt.IsZero() {
			end()
		}
		return *newest
	})
	return newest, failed
}

// watchJSON writes the status as one JSON object a line.
func (p *Program) watchJSON(ctx context.Context, r *reader, newest *view.View) (err error) {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for {
		if err := writeLine(p.Stdout, statusOf(newest)); err != nil || !newest.VerifiedAt.IsZero() {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if newest, err = r.view(ctx); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return unreachable(fmt.Errorf("read the job again: %w", err))
		}
	}
}

// printStatus writes the status for people.
func (p *Program) printStatus(v *view.View) error {
	out := p.paper()
	out.Fact("job", "%s, of %s", v.Job, v.Source)
	out.Fact("state", "%s", v.State)
	if v.Holder != "" {
		out.Fact("run", "%s", v.Holder)
	}
	if v.Total > 0 {
		out.Fact("events", "%s of %s (%s)", view.Number(v.Stored), view.Number(v.Total), view.Percent(float64(v.Stored)/float64(v.Total)))
	} else {
		out.Fact("events", "%s", view.Number(v.Stored))
	}
	out.Fact("records", "%s received: %s duplicates, %s of other windows, %s dead letters", view.Number(v.Counts.Received),
		view.Number(v.Counts.Duplicates), view.Number(v.Counts.OutOfWindow), view.Number(v.Counts.DeadLetters))
	for i := range v.Quotas {
		out.Fact("quota", "%s", quotaWords(&v.Quotas[i], v.At))
	}
	if v.Watermark != nil {
		out.Fact("round", "%d: all events stored up to %s UTC (%s ago)", v.Round, v.Watermark.UTC().Format(time.DateTime), view.Short(v.At.Sub(*v.Watermark)))
	}
	lagLine(out, v)
	if v.Verdict != "" {
		out.Fact("verdict", "%s", v.Verdict)
	}
	out.Line("")
	if len(v.Rounds) > 1 {
		out.Table(roundTable(v))
		out.Line("")
	}
	out.Table(shardTable(out, v))
	return out.Err()
}

func quotaWords(q *view.Quota, now time.Time) string {
	words := fmt.Sprintf("%s: %d requests in the window, allowed: %s", q.Endpoint, q.Recent, q.Allowed())
	if q.PausedUntil != nil {
		words += ", paused for " + view.Short(q.PausedUntil.Sub(now))
	}
	return words
}

// lagLine draws how far the watermark was behind over the last rounds.
func lagLine(out *terminal.Paper, v *view.View) {
	lags := v.Lags()
	if len(v.Rounds) < 2 || len(lags) < 2 {
		return
	}
	first, last := lags[0], lags[len(lags)-1]
	highest := 0.0
	for _, l := range lags {
		highest = max(highest, l.Seconds)
	}
	const cells = 24
	heights := make([]float64, cells)
	each := last.At.Sub(first.At) / cells
	for i := range heights {
		heights[i] = highestLag(lags, first.At.Add(time.Duration(i)*each), first.At.Add(time.Duration(i+1)*each)) / max(highest, 1)
	}
	seconds := func(n float64) string { return view.Short(time.Duration(n * float64(time.Second))) }
	out.Fact("behind", "%s %s now, peak %s in the last %s", out.Spark(heights), seconds(last.Seconds), seconds(highest), view.Short(last.At.Sub(first.At)))
}

// highestLag returns the highest lag between two instants. Between two points it grows with the clock.
func highestLag(lags []view.Lag, from, to time.Time) (highest float64) {
	for i := range lags {
		if l := lags[i]; !l.At.Before(from) && !l.At.After(to) {
			highest = max(highest, l.Seconds)
		}
		if i > 0 && lags[i-1].At.Before(to) && lags[i].At.After(to) {
			highest = max(highest, lags[i].Seconds-lags[i].At.Sub(to).Seconds())
		}
	}
	return highest
}

// shownRounds is how many rounds `sluice status` lists.
const shownRounds = 6

func roundTable(v *view.View) terminal.Table {
	t := terminal.Table{Heads: []string{">round", "began", ">took", ">new events", ">late", ">requests", "read from", "to", ""}}
	for _, r := range v.Rounds[:min(len(v.Rounds), shownRounds)] {
		took, missing := terminal.Notice("under way"), terminal.Text("")
		if r.Finished != nil {
			took = terminal.Text("%s", view.Short(r.Finished.Sub(r.Began)))
		}
		if r.Missing > 0 {
			missing = terminal.Notice(view.Number(r.Missing) + " missing")
		}
		t.Add(
			terminal.Text("%d", r.Number), terminal.Faint("%s", r.Began.UTC().Format(time.DateTime)), took,
			terminal.Number(r.Events), terminal.Number(r.Late), terminal.Number(r.Requests),
			terminal.Faint("%s", inLayout(r.From, time.DateTime)), terminal.Faint("%s", inLayout(r.To, time.DateTime)), missing,
		)
	}
	return t
}

func shardTable(out *terminal.Paper, v *view.View) terminal.Table {
	t := terminal.Table{Heads: []string{">shard", "from", "to", "state", "read", ">events", ">dead", "last commit", ""}}
	for i := range v.Shards {
		one := &v.Shards[i]
		state, last, remark := terminal.State(one.State), "–", terminal.Text("")
		if one.State == string(shard.Running) && v.Holder == "" {
			state = terminal.Notice("left") // by a run that was killed
		}
		if one.Seq > 0 {
			last = view.Ago(one.Updated, v.At)
		}
		if one.Parent != 0 {
			remark = terminal.Faint("part of %d  ", one.Parent)
		}
		if one.State != string(shard.Done) {
			remark = append(remark, terminal.Notice(one.Error)...)
		}
		t.Add(
			terminal.Text("%d", one.Number), terminal.Faint("%s", minute(one.Start)), terminal.Faint("%s", minute(one.End)),
			state, out.Bar(one.Read, 12, one.State), terminal.Number(one.Events),
			terminal.Number(one.Rejected), terminal.Faint("%s", last), remark,
		)
	}
	return t
}

// minute shortens an instant for a table: 2026-01-27 19:20. Open ends stay as they are.
func minute(instant string) string { return inLayout(instant, "2006-01-02 15:04") }

func inLayout(instant, layout string) string {
	t, err := time.Parse(time.RFC3339, instant)
	if err != nil {
		return instant
	}
	return t.UTC().Format(layout)
}
