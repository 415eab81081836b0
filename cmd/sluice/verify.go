package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/audit"
)

func (p *program) verifyCommand() *cobra.Command {
	var s settings
	var repair bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Compare the table with the ledger and the API", Args: noArgs,
		Long: "Compares the rows of every window with what its shard counted, and all of them with what the API counts (one page\n" +
			"request, if an API is configured), and says of every day (UTC) whether all windows that reach into it are complete.\n" +
			"It only reports; --repair opens the windows that fall short, and the next `sluice run` walks them again.\n" +
			"Exit code 0: all is well; 5: the data are in doubt; 4: the job is not finished.",
		Example: "  sluice verify\n  sluice verify --repair && sluice run\n  sluice verify --json | jq '.days[] | select(.complete | not)'",
		RunE:    p.stoppably(&s, func(ctx context.Context, s *settings) error { return p.verify(ctx, s, repair) }),
	}
	s.bind(cmd.Flags())
	show(cmd.Flags(), "job", "source", "list-limit", "stream-limit", "require-tls", "json", "log-level")
	cmd.Flags().BoolVar(&repair, "repair", false, "open the windows that fall short, for the next run")
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

func (p *program) verify(ctx context.Context, s *settings, repair bool) error {
	r, err := p.openLedger(ctx, &s.common)
	if err != nil {
		return err
	}
	defer r.db.Close()
	total, err := p.askTotal(ctx, s, r)
	if err != nil && isRefusal(err) {
		return asStart(ctx, err)
	}
	if err != nil {
		p.say("the source did not say how many events it has now: %v", err)
	}
	if err := r.examine(ctx); err != nil {
		return err
	}
	figures, err := r.db.AuditByDay(ctx, r.job.ID)
	if err != nil {
		return unreachable(err)
	}
	judged := audit.Judge(figures, r.job.APITotal, total)
	shown := describeAudit(&figures, judged, r.job.APITotal, total)
	if repair && len(judged.Reopen) > 0 {
		if err := p.reopen(ctx, r, s, judged); err != nil {
			return err
		}
		shown.Reopened = len(judged.Reopen)
	}
	if err := p.printVerified(shown, s.json); err != nil || judged.OK {
		return err
	}
	return inDoubt(&figures, judged, shown.Reopened > 0)
}

// isRefusal tells whether the key was refused: all other faults of the API leave table and ledger to be compared.
func isRefusal(err error) bool {
	var stop *shard.StopError
	return errors.As(err, &stop) && stop.Reason == shard.Refused
}

// askTotal asks the API for its count, where one is configured.
func (p *program) askTotal(ctx context.Context, s *settings, r *reader) (int64, error) {
	if s.isDemo() {
		return 0, nil
	}
	log, err := p.logger(s.logLevel)
	if err != nil {
		return 0, err
	}
	src, err := p.findSource(s)
	if err != nil {
		return 0, err
	}
	pacer, client, err := p.newClient(s, src, log)
	if err != nil {
		return 0, fail(exitUsage, "", err)
	}
	defer client.Close()
	defer p.share(ctx, r.db, src.name, pacer)()
	return client.AskTotal(ctx)
}

// reopen makes the windows that fall short suspect. It needs the job for itself, as a run does.
func (p *program) reopen(ctx context.Context, r *reader, s *settings, judged audit.Verdict) error {
	lock, err := r.db.Lock(ctx)
	if errors.Is(err, ledger.ErrLocked) {
		return fail(exitLocked, "wait for the run, or stop it", err)
	}
	if err != nil {
		return err
	}
	defer lock.Close(ctx)
	if err := r.db.Reopen(ctx, judged.Reopen); err != nil {
		return err
	}
	return r.db.SetVerdict(ctx, r.job.ID, judged.Summary(), false)
}

func describeAudit(a *ledger.Audit, v audit.Verdict, start, now int64) *verified {
	shown := &verified{
		OK: v.OK, Summary: v.Summary(), Findings: v.Findings, NotApplied: v.NotApplied,
		Rows: a.Rows, TotalStart: start, TotalNow: now, Days: []verifiedDay{},
	}
	for _, w := range a.Windows {
		shown.Shards = append(shown.Shards, verifiedRows{
			Shard: w.Shard, Window: w.Window.String(), State: string(w.State), Proof: string(w.Proof), Rows: w.Rows,
			Events: w.Counts.Events,
		})
	}
	for _, d := range a.Days {
		day := verifiedDay{Day: d.Day.Format(time.DateOnly), Rows: d.Rows, Complete: audit.Complete(a, d), Shards: map[int]int64{}}
		for _, part := range d.Shards {
			day.Shards[part.Shard] = part.Rows
		}
		shown.Days = append(shown.Days, day)
	}
	return shown
}

func (p *program) printVerified(s *verified, asJSON bool) error {
	if asJSON {
		return writeJSON(p.stdout, s)
	}
	out := terminal.NewPaper(p.stdout, p.environ)
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
		out.Line("%d windows are open again: `sluice run` walks them", s.Reopened)
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
		t.Rows = append(t.Rows, []terminal.Cell{
			terminal.Text("%d", w.Shard), terminal.Faint("%s", w.Window), terminal.State(w.State), terminal.Text("%s", view.Number(w.Rows)),
			terminal.Text("%s", view.Number(w.Events)), differs, terminal.Text("%s", w.Proof),
		})
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
		t.Rows = append(t.Rows, []terminal.Cell{
			terminal.Text("%s days", view.Number(int64(whole))), terminal.Text("%s", view.Number(rows)), terminal.Good("complete"), terminal.Faint("--json has each"),
		})
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
	return []terminal.Cell{terminal.Text("%s", d.Day), terminal.Text("%s", view.Number(d.Rows)), complete, terminal.Faint("%s", strings.Join(parts, ", "))}
}

// examine looks whether the tables are still such that their number of rows says something.
func (r *reader) examine(ctx context.Context) error {
	findings, err := r.db.Examine(ctx)
	if err != nil {
		return unreachable(err)
	}
	if f, unfit := firstFault(findings); unfit {
		return fail(exitDoubt, f.Hint, fmt.Errorf("the data are in doubt: %s: %s", f.Name, f.Detail))
	}
	return nil
}

// inDoubt returns the exit code of a check that failed: an unfinished job is no doubt.
func inDoubt(a *ledger.Audit, v audit.Verdict, reopened bool) error {
	for _, w := range a.Windows {
		if w.Proof == "" {
			return fail(exitLeft, "`sluice run` goes on with it", errors.New("the job is not finished: "+v.Summary()))
		}
	}
	hint := "`sluice verify --repair`, then `sluice run`"
	if reopened {
		hint = "`sluice run` walks the windows that are open again"
	}
	return fail(exitDoubt, hint, errors.New("the data are in doubt: "+v.Summary()))
}
