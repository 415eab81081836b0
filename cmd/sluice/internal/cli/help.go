package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	{"What is ingested", []string{"from", "to", "job", "schema", "source", "source-moved"}},
	{"Rounds", []string{"every", "lookback", "safety-lag", "again"}},
	{"The API", []string{"list-limit", "stream-limit", "page-size", "max-wait", "made-cursors", "ignore-total", "require-tls"}},
	{"Speed and memory", []string{"shards", "fetchers", "writers", "batch-rows", "queue-pages", "memory"}},
	{"When to stop", []string{"give-up-after", "max-dead-letters"}},
	{"To be watched", []string{"listen", "page-url", "linger", "pprof", "metrics-file"}},
	{"Without API_BASE_URL", []string{"demo-profile", "demo-events", "demo-seed"}},
	{"Output", []string{"json", "log-level", "help"}},
}

// usageOf is the help of a command: examples first, flags in groups. It is no template of cobra's, whose functions are global.
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
	for _, g := range groupsOf(cmd) {
		fmt.Fprintf(&b, "\n%s:\n%s", g.title, g.flags.FlagUsages())
	}
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

// show hides all flags of a command but those named: they can be set, as in the environment of a run, and mean nothing here.
func show(flags *pflag.FlagSet, names ...string) {
	flags.VisitAll(func(f *pflag.Flag) { f.Hidden = !slices.Contains(names, f.Name) })
}

// groupOfFlags is a group with the flags that a command has of it.
type groupOfFlags struct {
	title string
	flags *pflag.FlagSet
}

// fewFlags need no groups.
const fewFlags = 6

func groupsOf(cmd *cobra.Command) (groups []groupOfFlags) {
	own, shown := pflag.NewFlagSet("", pflag.ContinueOnError), 0
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			own.AddFlag(f)
			shown++
		}
	})
	if shown <= fewFlags {
		return []groupOfFlags{{"Flags", own}}
	}
	all := own
	own = pflag.NewFlagSet("", pflag.ContinueOnError)
	groups = []groupOfFlags{{"Of this command", own}}
	grouped := map[string]bool{}
	for _, g := range flagGroups {
		some := pflag.NewFlagSet("", pflag.ContinueOnError)
		some.SortFlags = false
		for _, name := range g.names {
			if f := all.Lookup(name); f != nil {
				some.AddFlag(f)
				grouped[name] = true
			}
		}
		groups = append(groups, groupOfFlags{g.title, some})
	}
	all.VisitAll(func(f *pflag.Flag) {
		if !grouped[f.Name] {
			own.AddFlag(f)
		}
	})
	return slices.DeleteFunc(groups, func(g groupOfFlags) bool { return !g.flags.HasFlags() })
}

// mistypedFlag explains an unknown flag, or an invalid value.
func mistypedFlag(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf("`%s --help` shows the settings and examples", cmd.CommandPath())
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		err = fmt.Errorf("%s has no setting --%s%s", cmd.CommandPath(), unknown.GetSpecifiedName(), nearestFlag(cmd, unknown.GetSpecifiedName()))
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		name, value := invalid.GetFlag().Name, invalid.GetValue()
		switch {
		case is[*strconv.NumError](err):
			err = fmt.Errorf("--%s %q: it must be a whole number", name, value)
		case invalid.GetFlag().Value.Type() == "duration":
			err = fmt.Errorf("--%s %q: it must be a duration such as 90s, 15m or 2h", name, value)
		default:
			err = fmt.Errorf("--%s: %w", name, errors.Unwrap(invalid))
		}
	}
	return fail(ExitUsage, hint, err)
}

// nearestFlag suggests the flag that was meant, as cobra does commands.
func nearestFlag(cmd *cobra.Command, name string) string {
	flags := &cobra.Command{SuggestionsMinimumDistance: cmd.Root().SuggestionsMinimumDistance}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: "--" + f.Name, Hidden: f.Hidden, Run: func(*cobra.Command, []string) {}})
	})
	return meant(flags, "--"+name)
}

// mistypedCommand explains a command that is not there.
func mistypedCommand(root *cobra.Command, word string) error {
	return fail(ExitUsage, "`sluice --help` shows the commands", fmt.Errorf("%s is no command of sluice%s", wordOf(word), meant(root, word)))
}

// meant asks whether one of the commands below cmd was meant.
func meant(cmd *cobra.Command, word string) string {
	near := cmd.SuggestionsFor(word)
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", strings.Join(near, " or "))
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
	return func(cmd *cobra.Command, _ []string, _ string) (values []cobra.Completion, _ cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeFor)
		defer cancel()
		schema := cmp.Or(p.env(EnvName("schema")), publicSchema)
		if given := cmd.Flag("schema"); given != nil && given.Changed {
			schema = given.Value.String()
		}
		if db := p.runningDatabase(ctx, schema, slog.New(slog.DiscardHandler)); db != nil {
			defer db.Close()
			values, _ = ask(ctx, cmd, db)
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
