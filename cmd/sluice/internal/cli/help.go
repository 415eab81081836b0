package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/fetch/apisim"
	"sluice/sink"
)

// flagGroup is flags that people look for together.
type flagGroup struct {
	title string
	names []string
}

// flagGroups are the groups of the help, in their order. A flag of none of them comes first: it is the command's own.
var flagGroups = []flagGroup{
	{"What is ingested", []string{"from", "to", "job", "source", "source-moved"}},
	{"Rounds", []string{"every", "lookback", "safety-lag", "again"}},
	{"The API", []string{"list-limit", "stream-limit", "page-size", "max-wait", "made-cursors", "require-tls"}},
	{"Speed and memory", []string{"shards", "fetchers", "writers", "batch-rows", "queue-pages", "memory"}},
	{"When to stop", []string{"give-up-after", "max-dead-letters"}},
	{"To be watched", []string{"listen", "page-url", "linger", "pprof", "metrics-file"}},
	{"Without API_BASE_URL", []string{"demo-profile", "demo-events", "demo-seed"}},
	{"Output", []string{"json", "log-level", "help"}},
}

// teach gives a command and those below it the help of this program: examples first, flags in groups. It is no template of cobra's,
// whose functions are global.
func teach(root *cobra.Command) {
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := io.WriteString(cmd.OutOrStderr(), usageOf(cmd))
		return err
	})
}

func usageOf(cmd *cobra.Command) string {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s [command]\n", cmd.CommandPath())
	} else {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	for _, g := range cmd.Groups() {
		b.WriteString(commandsOf(cmd, g.ID, g.Title))
	}
	title := "Commands:"
	if len(cmd.Groups()) > 0 {
		title = "Other commands:"
	}
	b.WriteString(commandsOf(cmd, "", title))
	b.WriteString(groupedFlags(cmd))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s <command> --help has the settings and examples of a command.\n", cmd.CommandPath())
	}
	return b.String()
}

// commandsOf lists the commands of a group below a command.
func commandsOf(cmd *cobra.Command, group, title string) string {
	var b strings.Builder
	for _, below := range cmd.Commands() {
		if below.GroupID == group && (below.IsAvailableCommand() || below.Name() == "help") {
			fmt.Fprintf(&b, "  %-*s %s\n", below.NamePadding(), below.Name(), below.Short)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + title + "\n" + b.String()
}

// groupedFlags returns the flags of a command, group by group. A command with few has no use for groups.
func groupedFlags(cmd *cobra.Command) string {
	var b strings.Builder
	for _, g := range groupsOf(cmd) {
		fmt.Fprintf(&b, "\n%s:\n%s", g.title, g.flags.FlagUsages())
	}
	return b.String()
}

// show hides all flags of a command but those named: they can be set, as in the environment of a run, and mean nothing here.
func show(flags *pflag.FlagSet, names ...string) {
	flags.VisitAll(func(f *pflag.Flag) { f.Hidden = !slices.Contains(names, f.Name) })
}

// groupOfFlags is a group with the flags that a command has of it.
type groupOfFlags struct {
	title string
	flags *pflag.FlagSet
}

const fewFlags = 6

func groupsOf(cmd *cobra.Command) (groups []groupOfFlags) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			all.AddFlag(f)
		}
	})
	if count(all) <= fewFlags {
		return []groupOfFlags{{"Flags", all}}
	}
	taken := map[string]bool{}
	for _, g := range flagGroups {
		some := pflag.NewFlagSet("", pflag.ContinueOnError)
		some.SortFlags = false
		for _, name := range g.names {
			if f := all.Lookup(name); f != nil {
				some.AddFlag(f)
				taken[name] = true
			}
		}
		if count(some) > 0 {
			groups = append(groups, groupOfFlags{g.title, some})
		}
	}
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	all.VisitAll(func(f *pflag.Flag) {
		if !taken[f.Name] {
			own.AddFlag(f)
		}
	})
	if count(own) > 0 {
		groups = slices.Insert(groups, 0, groupOfFlags{"Of this command", own})
	}
	return groups
}

func count(flags *pflag.FlagSet) (n int) {
	flags.VisitAll(func(*pflag.Flag) { n++ })
	return n
}

// mistypedFlag explains an unknown flag, or an invalid value.
func mistypedFlag(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf("`%s --help` shows the settings and examples", cmd.CommandPath())
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		err = fmt.Errorf("%s has no setting --%s%s", cmd.CommandPath(), unknown.GetSpecifiedName(), nearestFlag(cmd, unknown.GetSpecifiedName()))
	case errors.As(err, &invalid) && errors.As(err, new(*strconv.NumError)):
		err = fmt.Errorf("--%s %q: it must be a whole number", invalid.GetFlag().Name, invalid.GetValue())
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "duration":
		err = fmt.Errorf("--%s %q: it must be a duration such as 90s, 15m or 2h", invalid.GetFlag().Name, invalid.GetValue())
	case errors.As(err, &invalid):
		err = fmt.Errorf("--%s: %w", invalid.GetFlag().Name, errors.Unwrap(invalid))
	}
	return fail(ExitUsage, hint, err)
}

// nearestFlag suggests the flag that was meant.
func nearestFlag(cmd *cobra.Command, name string) string {
	best, least := "", 3 // more changes than two make another word
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); d < least && !f.Hidden {
			best, least = f.Name, d
		}
	})
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean --%s?", best)
}

// distance is how many letters must be changed, added, left out or swapped with their neighbour to make one word of the other.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// mistypedCommand explains a command that is not there.
func mistypedCommand(root *cobra.Command, word string) error {
	err := fmt.Errorf("%s is no command of sluice", wordOf(word))
	if near := root.SuggestionsFor(word); len(near) > 0 {
		err = fmt.Errorf("%w: did you mean %s?", err, strings.Join(near, " or "))
	}
	return fail(ExitUsage, "`sluice --help` shows the commands", err)
}

// completeFor is how long a shell waits for what only the database knows.
const completeFor = 2 * time.Second

// complete tells the shell what the flags of a command, and of those below it, may be.
func (p *Program) complete(cmd *cobra.Command) {
	profiles := []cobra.Completion{apisim.Demo, apisim.Challenge, apisim.Unlimited}
	for name, values := range map[string][]cobra.Completion{
		"log-level":    {"debug", "info", "warn", "error"},
		"made-cursors": {"auto", "never"},
		"demo-profile": profiles,
		"profile":      profiles,
		"list-limit":   {"10/60s", "none"},
		"stream-limit": {"50/60s", "none"},
	} {
		offer(cmd, name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	offer(cmd, "job", p.completeFrom(func(ctx context.Context, _ *cobra.Command, db *sink.Postgres) ([]string, error) { return db.Jobs(ctx) }))
	offer(cmd, "reason", p.completeFrom(reasons))
	for _, below := range cmd.Commands() {
		p.complete(below)
	}
}

// offer registers the values of a flag, if the command has it.
func offer(cmd *cobra.Command, name string, values cobra.CompletionFunc) {
	if cmd.LocalFlags().Lookup(name) != nil {
		_ = cmd.RegisterFlagCompletionFunc(name, values) // it refuses only what is not there, or is there twice
	}
}

// completeFrom asks a database that answers now, and makes or starts none. One that is silent has nothing to offer.
func (p *Program) completeFrom(ask func(context.Context, *cobra.Command, *sink.Postgres) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeFor)
		defer cancel()
		url := p.runningURL(ctx)
		if url == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		db, err := sink.Open(ctx, sink.Config{URL: url, Writers: 1, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer db.Close()
		values, err := ask(ctx, cmd, db)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// reasons are those of the dead letters of the job that the command line names.
func reasons(ctx context.Context, cmd *cobra.Command, db *sink.Postgres) (names []string, err error) {
	job, found, err := db.Job(ctx, cmd.Flag("job").Value.String())
	if err != nil || !found {
		return nil, err
	}
	counts, err := db.DeadLetterReasons(ctx, job.ID)
	for _, c := range counts {
		names = append(names, c.Reason)
	}
	return names, err
}
