package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/sink/audit"
)

func (p *Program) verifyCommand() *cobra.Command {
	var s settings
	var how job.Verifying
	cmd := &cobra.Command{
		Use: "verify", Short: "Compare the table with the ledger and the API", Args: noArgs,
		Long: "Compares the rows of every shard's window with the count of the shard, and all of them with the count of the API (three\n" +
			"page requests, if an API is configured, which also show whether it is still the same source), and reports for every day\n" +
			"(UTC) whether all shards that reach into it are complete.\n\n" +
			"--repair takes the job and reopens incomplete shards, and the next `sluice run` fetches them again. What neither can mend\n" +
			"is decided by you: --accept-foreign for rows that another program has written, --accept-lost for events that are gone,\n" +
			"deleted on purpose or forgotten by the API. Each decision is recorded with its number of rows.\n\n" +
			"Exit code 0: all is well; 5: the data are in doubt; 4: the job is not finished.",
		Example: "  sluice verify\n  sluice verify --repair && sluice run\n  sluice verify --json | jq '.days[] | select(.complete | not)'",
		RunE:    p.stoppably(&s, func(ctx context.Context, s *settings) error { return p.verify(ctx, s, how) }),
	}
	s.bind(cmd.Flags())
	show(cmd.Flags(), "job", "schema", "source", "list-limit", "stream-limit", "ignore-total", "require-tls", "json", "log-level")
	cmd.Flags().BoolVar(&how.Repair, "repair", false, "reopen incomplete shards for the next run")
	cmd.Flags().BoolVar(&how.AcceptForeign, "accept-foreign", false, "accept the rows that no job has stored; the decision is recorded")
	cmd.Flags().BoolVar(&how.AcceptLost, "accept-lost", false, "accept that events which are gone from the table are gone for good; the decision is recorded")
	return cmd
}

// verified is what `sluice verify --json` prints.
type verified struct {
	OK         bool           `json:"ok"`
	Summary    string         `json:"summary"`
	Findings   []string       `json:"findings,omitempty"`
	NotApplied []string       `json:"not_applied,omitempty"`
	Rows       int64          `json:"rows"`
	TotalStart int64          `json:"api_total_at_start"`
	TotalNow   int64          `json:"api_total_now"` // 0: not asked, or not said
	Reopened   int            `json:"reopened"`
	Shards     []verifiedRows `json:"shards"`
	Days       []verifiedDay  `json:"days"`
}

type verifiedRows struct {
	Shard  int    `json:"shard"`
	Window string `json:"window"`
	State  string `json:"state"`
	Proof  string `json:"proof"`
	Rows   int64  `json:"rows"`
	Events int64  `json:"events"`
}

// verifiedDay is a day of event time in UTC. It is complete if every window that reaches into it is.
type verifiedDay struct {
	Day      string        `json:"day"`
	Rows     int64         `json:"rows"`
	Complete bool          `json:"complete"`
	Shards   map[int]int64 `json:"shards"` // rows by number of the shard
}

func (p *Program) verify(ctx context.Context, s *settings, how job.Verifying) error {
	r, err := p.openLedger(ctx, &s.common)
	if err != nil {
		return err
	}
	defer r.db.Close()
	src, err := p.findSource(s)
	config := job.Config{Name: s.job, SourceName: src.name, Store: r.db, IgnoreTotal: s.ignoreTotal, Log: s.log}
	if !s.isDemo() {
		config.Connect = func(context.Context) (job.Source, error) {
			if err == nil {
				err = src.open(p, s, s.log)
			}
			return src.client, err
		}
	}
	v := job.Verify(ctx, config, how)
	if v.Audit == nil && v.Status != job.Doubt {
		return verdictError(v.Verdict)
	}
	if v.TotalErr != nil {
		p.say("the source did not say how many events it has now: %v", v.TotalErr)
	}
	if v.Audit == nil {
		return verdictError(v.Verdict)
	}
	if err := p.printVerified(describeAudit(&v), s.json); err != nil {
		return err
	}
	switch {
	case v.Status == job.Doubt && v.Reopened > 0:
		v.Hint = runHint(v.Err)
	case v.Status == job.Left && r.job.Verified() && !how.Repair: // a run would not look at its shards
		v.Hint = doubtHint(&job.DoubtError{Job: r.job.Name, Span: r.job.Span, Doubts: []ledger.Doubt{{Kind: ledger.DoubtTable}}})
	}
	return verdictError(v.Verdict)
}

func describeAudit(v *job.Verification) *verified {
	shown := &verified{
		OK: v.Status == job.Complete, Summary: v.Judged.Summary(), Findings: v.Judged.Findings, NotApplied: v.Judged.NotApplied,
		Rows: v.Audit.Rows, TotalStart: v.TotalStart, TotalNow: v.TotalNow, Reopened: v.Reopened, Days: []verifiedDay{},
	}
	if is[*job.DoubtError](v.Err) {
		shown.Summary, shown.Findings = v.Text, v.Verdict.Findings
	}
	for _, w := range v.Audit.Windows {
		shown.Shards = append(shown.Shards, verifiedRows{
			Shard: w.Shard, Window: w.Window.String(), State: string(w.State), Proof: string(w.Proof), Rows: w.Rows,
			Events: w.Counts.Events,
		})
	}
	for _, d := range v.Audit.Days {
		day := verifiedDay{Day: d.Day.Format(time.DateOnly), Rows: d.Rows, Complete: audit.Complete(v.Audit, d), Shards: map[int]int64{}}
		for _, part := range d.Shards {
			day.Shards[part.Shard] = part.Rows
		}
		shown.Days = append(shown.Days, day)
	}
	return shown
}

func (p *Program) printVerified(s *verified, asJSON bool) error {
	if asJSON {
		return writeJSON(p.Stdout, s)
	}
	out := p.paper()
	out.Table(shardsTable(s.Shards))
	out.Line("")
	out.Table(daysTable(s.Days))
	out.Line("")
	for _, f := range s.NotApplied {
		out.Say(terminal.Faint("not checked:"), "%s", f)
	}
	for _, f := range s.Findings {
		out.Say(terminal.Bad("found:"), "%s", f)
	}
	if s.Reopened > 0 {
		out.Line("%d shards are reopened: %s", s.Reopened, p.inSchema("`sluice run` fetches them again"))
	}
	if s.OK {
		out.Say(terminal.Good("verified:"), "%s", s.Summary)
	}
	return out.Err()
}

func shardsTable(shards []verifiedRows) terminal.Table {
	t := terminal.Table{Heads: []string{">shard", "window", "state", ">rows", ">in the ledger", "", "proof of the end"}}
	for _, w := range shards {
		differs := terminal.Text("")
		if w.Rows != w.Events {
			differs = terminal.Notice(fmt.Sprintf("%+d", w.Rows-w.Events))
		}
		t.Add(
			terminal.Text("%d", w.Shard), terminal.Faint("%s", w.Window), terminal.State(w.State), terminal.Number(w.Rows),
			terminal.Number(w.Events), differs, terminal.Text("%s", w.Proof),
		)
	}
	return t
}

// daysTable shows the days; of more than two months those that are not complete, the others in one line.
func daysTable(days []verifiedDay) terminal.Table {
	t := terminal.Table{Heads: []string{"day", ">rows", "", "rows by shard"}}
	few := len(days) <= 62
	whole, rows := 0, int64(0)
	for _, d := range days {
		if d.Complete && !few {
			whole, rows = whole+1, rows+d.Rows
			continue
		}
		t.Rows = append(t.Rows, d.cells())
	}
	if whole > 0 {
		t.Add(
			terminal.Text("%s days", view.Number(int64(whole))), terminal.Number(rows), terminal.Good("complete"), terminal.Faint("--json has each"),
		)
	}
	return t
}

func (d *verifiedDay) cells() []terminal.Cell {
	complete := terminal.Good("complete")
	if !d.Complete {
		complete = terminal.Notice("not complete")
	}
	var parts []string
	for _, number := range slices.Sorted(maps.Keys(d.Shards)) {
		parts = append(parts, fmt.Sprintf("%d: %s", number, view.Number(d.Shards[number])))
	}
	return []terminal.Cell{terminal.Text("%s", d.Day), terminal.Number(d.Rows), complete, terminal.Faint("%s", strings.Join(parts, ", "))}
}
