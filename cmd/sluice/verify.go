package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/shard"
	"sluice/sink"
)

func (p *program) verifyCommand() *cobra.Command {
	var s settings
	var repair bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Compare the table with the ledger and the API", Args: noArgs,
		Long: "Compares the rows of every window with what its shard counted, and all of them with what the API counts (one page\n" +
			"request, if an API is configured). It only reports; --repair opens the windows that fall short, and the next\n" +
			"`sluice run` walks them again. Exit code 0: all is well; 5: the data are in doubt; 4: the job is not finished.",
		RunE: p.stoppably(&s, func(ctx context.Context, s *settings) error { return p.verify(ctx, s, repair) }),
	}
	s.bind(cmd.Flags())
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
}

type verifiedRows struct {
	Shard  int    `json:"shard"`
	Window string `json:"window"`
	State  string `json:"state"`
	Proof  string `json:"proof"`
	Rows   int64  `json:"rows"`
	Events int64  `json:"events"`
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
	audit, err := r.db.Audit(ctx, r.job.ID)
	if err != nil {
		return unreachable(err)
	}
	judged := sink.Judge(audit, r.job.APITotal, total)
	shown := describeAudit(&audit, judged, r.job.APITotal, total)
	if repair && len(judged.Reopen) > 0 {
		if err := p.reopen(ctx, r, s, judged); err != nil {
			return err
		}
		shown.Reopened = len(judged.Reopen)
	}
	if err := p.printVerified(shown, s.json); err != nil || judged.OK {
		return err
	}
	return inDoubt(&audit, judged, shown.Reopened > 0)
}

// isRefusal tells whether the key was refused: all other faults of the API leave table and ledger to be compared.
func isRefusal(err error) bool {
	var stop *shard.StopError
	return errors.As(err, &stop) && stop.Exit == exitUnreachable
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
func (p *program) reopen(ctx context.Context, r *reader, s *settings, judged sink.Verdict) error {
	lock, err := r.db.Lock(ctx)
	if errors.Is(err, sink.ErrJobLocked) {
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

func describeAudit(a *sink.Audit, v sink.Verdict, start, now int64) *verified {
	shown := &verified{
		OK: v.OK, Summary: v.Summary(), Findings: v.Findings, NotApplied: v.NotApplied,
		Rows: a.Rows, TotalStart: start, TotalNow: now,
	}
	for _, w := range a.Windows {
		shown.Shards = append(shown.Shards, verifiedRows{
			Shard: w.Shard, Window: w.Window.String(), State: string(w.State), Proof: string(w.Proof), Rows: w.Rows,
			Events: w.Counts.Events,
		})
	}
	return shown
}

func (p *program) printVerified(s *verified, asJSON bool) error {
	if asJSON {
		return writeJSON(p.stdout, s)
	}
	out := &printer{w: p.stdout}
	for _, w := range s.Shards {
		out.line("shard %3d  %-8s %12s rows, %12s in the ledger  %s  %s", w.Shard, w.State, terminal.Number(w.Rows),
			terminal.Number(w.Events), w.Window, w.Proof)
	}
	for _, f := range s.NotApplied {
		out.line("not checked: %s", f)
	}
	for _, f := range s.Findings {
		out.line("found: %s", f)
	}
	if s.Reopened > 0 {
		out.line("%d windows are open again: `sluice run` walks them", s.Reopened)
	}
	if s.OK {
		out.line("verified: %s", s.Summary)
	}
	return out.err
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
func inDoubt(a *sink.Audit, v sink.Verdict, reopened bool) error {
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
