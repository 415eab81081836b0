package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
