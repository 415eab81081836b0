package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/job"
	"sluice/fetch/datasync"
)

func (p *Program) planCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Probe the API and show the shards that a run would read",
		Long: "Asks the API for a few pages (at most 14 requests, two with --from), and shows what it can do, the span of its\n" +
			"events and the shards that `sluice run` would read. Nothing is stored. The requests count against the API's\n" +
			"quota, and the life of the key may start with its first use.",
		Example: "  sluice plan --shards=8\n  sluice plan --from=2026-01-01 --to=2026-02-01\n" +
			"  sluice plan --list-limit=10/60s --stream-limit=50/60s --json | jq .expected_minutes",
		Args: noArgs,
		RunE: p.stoppably(&s, p.plan),
	}
	s.bind(cmd.Flags())
	show(cmd.Flags(), "from", "to", "shards", "schema", "source", "list-limit", "stream-limit", "page-size", "max-wait", "require-tls", "json", "log-level",
		"demo-profile", "demo-events", "demo-seed")
	return cmd
}

// planned is what `sluice plan` shows.
type planned struct {
	Source       string                `json:"source"`
	Events       int64                 `json:"events"` // -1: the API does not say
	Newest       string                `json:"newest"`
	Oldest       string                `json:"oldest"` // an estimate
	Capabilities datasync.Capabilities `json:"capabilities"`
	Step         string                `json:"step"`
	Requests     int                   `json:"requests_used"`
	Pages        int64                 `json:"expected_requests"` // 0: not known
	Minutes      float64               `json:"expected_minutes"`  // at the quotas known; 0: not known
	Quotas       []view.Quota          `json:"quotas"`
	Windows      []plannedWindow       `json:"windows"`
}

type plannedWindow struct {
	Shard int    `json:"shard"`
	Start string `json:"start"`
	End   string `json:"end"`
}

func (p *Program) plan(ctx context.Context, s *settings) error {
	src, err := p.openSource(s)
	if err != nil {
		return asStart(ctx, err)
	}
	defer src.close()
	if !s.isDemo() {
		defer p.shareIfAny(ctx, src, s.schema, s.log)()
	}
	found, err := job.Plan(ctx, src.client, s.span(), s.shards)
	if err != nil {
		return asStart(ctx, err)
	}
	shown := &planned{
		Source: src.name, Events: found.Total, Newest: found.Newest.String(), Oldest: found.Oldest.String(),
		Capabilities: src.client.Capabilities(), Step: found.Step, Requests: found.Requests, Pages: found.Pages,
	}
	for n, w := range found.Windows {
		shown.Windows = append(shown.Windows, plannedWindow{n + 1, w.Start.String(), w.End.String()})
	}
	shown.Quotas = view.Quotas(src.pacer.Status(), time.Now())
	shown.Minutes = minutes(shown.Pages, shown.Quotas)
	if s.json {
		return writeJSON(p.Stdout, shown)
	}
	return p.printPlan(shown)
}

// minutes returns how long so many requests take at the quotas known; 0 if they are not.
func minutes(pages int64, quotas []view.Quota) float64 {
	perMinute := 0.0
	for _, q := range quotas {
		if q.Limit > 0 && q.Window > 0 {
			perMinute += 60 * float64(q.Limit) / q.Window
		}
	}
	if perMinute == 0 {
		return 0
	}
	return float64(pages) / perMinute
}

func (p *Program) printPlan(s *planned) error {
	out := p.paper()
	out.Fact("source", "%s", s.Source)
	if s.Events >= 0 {
		out.Fact("events", "%s", view.Number(s.Events))
	}
	out.Fact("span", "%s (about) to %s", s.Oldest, s.Newest)
	out.Fact("ladder", "%s", s.Step)
	out.Fact("pages", "of %s records; this look took %d requests", view.Number(int64(s.Capabilities.PageSize)), s.Requests)
	for _, q := range s.Quotas {
		out.Fact("quota", "%s: %s (%s)", q.Endpoint, q.Allowed(), q.Known)
	}
	if s.Pages > 0 {
		out.Fact("expected", "%s requests", view.Number(s.Pages))
	}
	switch {
	case s.Minutes > 0:
		out.Fact("time", "at least %s at the quotas known so far", view.Short(time.Duration(s.Minutes*float64(time.Minute))))
	case s.Pages > 0:
		out.Fact("time", "as fast as the API answers, or its quotas allow: none is known yet")
	}
	out.Line("")
	t := terminal.Table{Heads: []string{">shard", "from", "up to"}}
	for _, w := range s.Windows {
		t.Add(terminal.Text("%d", w.Shard), terminal.Text("%s", w.Start), terminal.Text("%s", w.End))
	}
	out.Table(t)
	return out.Err()
}
