package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/shard"
	"sluice/sink"
	"sluice/sink/doctor"
)

func (p *Program) doctorCommand() *cobra.Command {
	var s settings
	var noAPI bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look at the database and the API, and say how to mend what is wrong", Args: noArgs,
		Long: "Looks at the database (connection, privileges, schema, settings, clock) and at the API (address, key, stream, limits,\n" +
			"clock). It changes nothing. The API is asked a few questions: they count against its quota, and the life of the key\n" +
			"may start with its first use; --no-api leaves it alone. Exit code 3: a run would not start.",
		Example: "  sluice doctor\n  sluice doctor --no-api\n  sluice doctor --json | jq '.[] | select(.level != \"ok\")'",
		RunE:    p.stoppably(&s, func(ctx context.Context, s *settings) error { return p.doctor(ctx, s, noAPI) }),
	}
	s.bind(cmd.Flags())
	show(cmd.Flags(), "job", "schema", "source", "list-limit", "stream-limit", "page-size", "writers", "require-tls", "json", "log-level")
	cmd.Flags().BoolVar(&noAPI, "no-api", false, "ask the API nothing")
	return cmd
}

func (p *Program) doctor(ctx context.Context, s *settings, noAPI bool) error {
	findings := p.examineDatabase(ctx, s)
	for i := range findings {
		findings[i].Hint = p.inSchema(findings[i].Hint)
	}
	if noAPI {
		findings = append(findings, doctor.Finding{Name: "api", Level: doctor.Warn, Detail: "not asked (--no-api)"})
	} else {
		findings = append(findings, p.examineAPI(ctx, s)...)
	}
	if err := p.printFindings(findings, s.json); err != nil {
		return err
	}
	for _, f := range findings {
		if f.Level == doctor.Fail {
			return fail(ExitUnreachable, "mend what is marked fail, then run `sluice doctor` again", errors.New("a run would not work"))
		}
	}
	return nil
}

func (p *Program) examineDatabase(ctx context.Context, s *settings) []doctor.Finding {
	where, err := p.existingDatabase(ctx)
	if err != nil {
		return []doctor.Finding{{Name: "database", Level: doctor.Warn, Detail: err.Error(), Hint: "`sluice run` makes a private PostgreSQL, or set DATABASE_URL"}}
	}
	return sink.Diagnose(ctx, sink.Config{URL: where.url, PasswordCommand: p.passwordCommand(), Schema: s.schema, Job: s.job, Writers: s.writers})
}

// examineAPI asks the API what a run would ask first.
func (p *Program) examineAPI(ctx context.Context, s *settings) []doctor.Finding {
	if s.isDemo() {
		return []doctor.Finding{{Name: "api", Level: doctor.OK, Detail: "API_BASE_URL is not set: a run would ingest the built-in simulator"}}
	}
	failed := func(err error, hint string) []doctor.Finding {
		return []doctor.Finding{{Name: "api", Level: doctor.Fail, Detail: err.Error(), Hint: hint}}
	}
	src, err := p.openSource(s)
	if err != nil {
		return failed(err, "correct API_BASE_URL")
	}
	defer src.close()
	defer p.shareIfAny(ctx, src, s.schema, s.log)()
	began := time.Now()
	found, err := src.client.Survey(ctx, s.span().Start)
	if err != nil {
		return failed(err, cmp.Or(startHint(err), "check API_BASE_URL and TARGET_API_KEY"))
	}
	return describeAPI(src, found, time.Since(began))
}

func describeAPI(src *source, found shard.Survey, took time.Duration) []doctor.Finding {
	caps := src.client.Capabilities()
	findings := []doctor.Finding{
		{Name: "api", Level: doctor.OK, Detail: fmt.Sprintf("%d events, newest %s; %d requests in %s (the key's life may have begun with them)",
			found.Total, found.Newest, found.Requests, took.Round(time.Millisecond))},
		{Name: "ladder", Level: doctor.OK, Detail: caps.Step()},
	}
	if !caps.StreamAccess {
		findings = append(findings, doctor.Finding{Name: "stream", Level: doctor.Warn, Detail: "the API refuses access to the stream",
			Hint: "the list goes on alone, at its own quota"})
	}
	if !caps.Windows() {
		findings[1].Level = doctor.Warn
		findings[1].Hint = "shards are read one after another; more fetchers do not help"
	}
	for _, q := range src.pacer.Status() {
		findings = append(findings, doctor.Finding{Name: "quota " + q.Name, Level: doctor.OK,
			Detail: fmt.Sprintf("%s (%s), %d requests in the window now", q.Limit, q.Known, q.Recent)})
	}
	if offset, ok := src.client.ClockOffset(); ok {
		f := doctor.Finding{Name: "clock of the API", Level: doctor.OK, Detail: fmt.Sprintf("%s ahead of this machine's", offset.Round(time.Second))}
		if offset.Abs() > maxOffset {
			f.Level, f.Hint = doctor.Warn, "set this machine's clock by NTP; the lives of cursors are taken relatively, so a run works all the same"
		}
		findings = append(findings, f)
	}
	return findings
}

// maxOffset is how far this machine's clock may be from the API's before timestamps mislead.
const maxOffset = 5 * time.Second

func (p *Program) printFindings(findings []doctor.Finding, asJSON bool) error {
	if asJSON {
		return writeJSON(p.Stdout, findings)
	}
	out := p.paper()
	t := terminal.Table{Heads: []string{"", "looked at", "found"}}
	count := map[doctor.Level]int{}
	for _, f := range findings {
		level := map[doctor.Level]func(string) terminal.Cell{doctor.OK: terminal.Good, doctor.Warn: terminal.Notice, doctor.Fail: terminal.Bad}[f.Level]
		t.Add(level(string(f.Level)), terminal.Text("%s", f.Name), terminal.Text("%s", f.Detail))
		if f.Hint != "" && f.Level != doctor.OK {
			t.Add(terminal.Text(""), terminal.Text(""), terminal.Faint("→ %s", f.Hint))
		}
		count[f.Level]++
	}
	out.Table(t)
	out.Line("")
	if count[doctor.Fail] == 0 {
		out.Say(terminal.Good("a run would start:"), "%d things looked at, %d warnings", len(findings), count[doctor.Warn])
	}
	return out.Err()
}
