package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/job"
	"sluice/fetch/datasync"
	"sluice/fetch/quota"
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
	show(cmd.Flags(), "from", "to", "shards", "source", "list-limit", "stream-limit", "page-size", "max-wait", "require-tls", "json", "log-level",
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
	Quotas       []plannedQuota        `json:"quotas"`
	Windows      []plannedWindow       `json:"windows"`
}

type plannedWindow struct {
	Shard int    `json:"shard"`
	Start string `json:"start"`
	End   string `json:"end"`
}

// plannedQuota is what is known of one endpoint's limit, and how it came to be known.
type plannedQuota struct {
	Endpoint string  `json:"endpoint"`
	Limit    int     `json:"limit"` // 0: not known, -1: none
	Window   float64 `json:"window_seconds"`
	Known    string  `json:"known"`
}

func (p *Program) plan(ctx context.Context, s *settings) error {
	log, err := p.logger(s.logLevel)
	if err != nil {
		return err
	}
	src, err := p.findSource(s)
	if err != nil {
		return err
	}
	if err := src.start(p); err != nil {
		return err
	}
	defer src.stop()
	pacer, client, err := p.newClient(s, src, log)
	if err != nil {
		return fail(ExitUsage, "", err)
	}
	defer client.Close()
	if !s.isDemo() {
		defer p.shareIfAny(ctx, src.name, client, log)()
	}
	found, err := job.Plan(ctx, client, s.span(), s.shards)
	if err != nil {
		return asStart(ctx, err)
	}
	shown := &planned{
		Source: src.name, Events: found.Total, Newest: found.Newest.String(), Oldest: found.Oldest.String(),
		Capabilities: client.Capabilities(), Step: found.Step, Requests: found.Requests, Pages: found.Pages,
	}
	for n, w := range found.Windows {
		shown.Windows = append(shown.Windows, plannedWindow{n + 1, w.Start.String(), w.End.String()})
	}
	shown.Minutes = minutes(shown.Pages, pacer.Status())
	for _, q := range pacer.Status() {
		shown.Quotas = append(shown.Quotas, plannedQuota{q.Name, q.Limit.N, q.Limit.Window.Seconds(), q.Known.String()})
	}
	if s.json {
		return writeJSON(p.Stdout, shown)
	}
	return p.printPlan(shown)
}

// minutes returns how long so many requests take at the quotas known; 0 if they are not.
func minutes(pages int64, quotas []quota.Status) float64 {
	perMinute := 0.0
	for _, q := range quotas {
		if q.Limit.N > 0 && q.Limit.Window > 0 {
			perMinute += float64(q.Limit.N) / q.Limit.Window.Minutes()
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
		out.Fact("quota", "%s: %s", q.Endpoint, q.words())
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
		t.Rows = append(t.Rows, []terminal.Cell{terminal.Text("%d", w.Shard), terminal.Text("%s", w.Start), terminal.Text("%s", w.End)})
	}
	out.Table(t)
	return out.Err()
}

func (q *plannedQuota) words() string {
	switch {
	case q.Limit > 0:
		return fmt.Sprintf("%d requests in %s (%s)", q.Limit, view.Short(time.Duration(q.Window*float64(time.Second))), q.Known)
	case q.Limit < 0:
		return "no limit"
	}
	return "not known yet, a run learns it"
}
