package cli

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/cmd/sluice/internal/terminal"
)

// commandLine returns the whole of the command line, to be looked at.
func commandLine() *cobra.Command {
	console := terminal.NewConsole(io.Discard)
	p := &Program{Stdout: io.Discard, Stderr: console, Environ: noEnvironment}
	return p.Root()
}

func noEnvironment(string) (string, bool) { return "", false }

// each calls do for every command that people see.
func each(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, below := range cmd.Commands() {
		each(below, do)
	}
}

// TestEveryCommandTeaches: what it does, and an example that begins with it.
func TestEveryCommandTeaches(t *testing.T) {
	t.Parallel()
	each(commandLine(), func(cmd *cobra.Command) {
		if cmd.Name() == "version" || strings.HasPrefix(cmd.CommandPath(), "sluice db ") {
			return // one word says it all
		}
		if cmd.Long == "" && cmd.Name() != "show" || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: it says %q, the examples are %q", cmd.CommandPath(), cmd.Long, cmd.Example)
		}
		for _, line := range strings.Split(cmd.Long+"\n"+cmd.Example, "\n") {
			if len([]rune(line)) > 140 {
				t.Errorf("%s: a line of the help is too long to read: %q", cmd.CommandPath(), line)
			}
		}
	})
}

// TestExamplesAreRight: every flag and command of an example exists.
func TestExamplesAreRight(t *testing.T) {
	t.Parallel()
	root := commandLine()
	each(root, func(cmd *cobra.Command) {
		for _, call := range regexp.MustCompile(`sluice [^|>&;\n]+`).FindAllString(cmd.Example, -1) {
			words := strings.Fields(strings.SplitN(call, "   ", 2)[0])[1:]
			found, rest, err := root.Find(words)
			if err != nil || !found.Runnable() {
				t.Errorf("%q: %v", call, err)
				continue
			}
			for _, word := range rest {
				name, isFlag := strings.CutPrefix(strings.SplitN(word, "=", 2)[0], "--")
				if isFlag && found.Flags().Lookup(name) == nil {
					t.Errorf("%q: %s has no flag --%s", call, found.CommandPath(), name)
				}
			}
		}
	})
}

// TestHelpGroupsTheFlagsOfARun: each once, under the heading where people look for it.
func TestHelpGroupsTheFlagsOfARun(t *testing.T) {
	t.Parallel()
	run, _, err := commandLine().Find([]string{"run"})
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, g := range groupsOf(run) {
		g.flags.VisitAll(func(f *pflag.Flag) {
			if shown[f.Name] != "" {
				t.Errorf("--%s is shown twice", f.Name)
			}
			shown[f.Name] = g.title
		})
	}
	run.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if shown[f.Name] == "" {
			t.Errorf("--%s is not shown", f.Name)
		}
	})
	if shown["fetchers"] != "Speed and memory" || shown["listen"] != "To be watched" {
		t.Errorf("the groups are %v", shown)
	}
	var out bytes.Buffer
	run.SetOut(&out)
	if err := run.Usage(); err != nil || !strings.Contains(out.String(), "\nSpeed and memory:\n      --shards int ") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestManualHasEverything that the command line has, and is roff that no troff complains of.
func TestManualHasEverything(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	root := commandLine()
	if err := writeManual(terminal.NewPaper(&out, noEnvironment), root, "dev"); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	each(root, func(cmd *cobra.Command) {
		if !cmd.Runnable() || cmd.HasSubCommands() || strings.Contains(cmd.CommandPath(), "completion") || cmd.Name() == "help" {
			return
		}
		if !strings.Contains(page, "\n.SS "+plainText(cmd.CommandPath())) {
			t.Errorf("%s is not in it", cmd.CommandPath())
		}
	})
	run, _, _ := root.Find([]string{"run"})
	run.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(page, `\fB`+plainText("--"+f.Name)+`\fR`) {
			t.Errorf("--%s is not in it", f.Name)
		}
	})
	request := regexp.MustCompile(`^\.(TH|SH|SS|PP|TP|B|I|RS|RE|nf|fi)\b`)
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, ".") && !request.MatchString(line) || strings.HasPrefix(line, "'") || strings.IndexFunc(line, func(r rune) bool { return r > 0x7f }) >= 0 {
			t.Errorf("troff would stumble over %q", line)
		}
	}
}

// TestAMistypedVariable is refused as a mistyped flag is, by every command that has settings; one that is no setting is mentioned.
func TestAMistypedVariable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, command, says string
		code                int
	}{
		{"SLUICE_SHRADS", "status", "SLUICE_SHRADS is no setting: did you mean SLUICE_SHARDS?", ExitUsage},
		{"SLUICE_LOOK_BACK", "run", "SLUICE_LOOK_BACK is no setting: did you mean SLUICE_LOOKBACK?", ExitUsage},
		{"SLUICE_CONCURRENCY", "dead-letters list", "in the environment and no setting: SLUICE_CONCURRENCY", ExitUsage},
		{"SLUICE_LOOKBACK", "status", "", ExitUsage}, // of another command
		{"SLUICE_PG_PORT", "status", "", ExitUsage},  // of the start script
		{"SLUICE_SHRADS", "version", "", ExitOK},
	} {
		var stderr bytes.Buffer
		p := &Program{
			Stdout: io.Discard, Stderr: terminal.NewConsole(&stderr), Names: func() []string { return []string{"HOME", c.name} },
			Environ: func(name string) (string, bool) {
				return map[string]string{EnvAPI: "x", EnvDatabase: "x"}[name], true // is refused next
			},
		}
		if code := p.Main(t.Context(), strings.Fields(c.command)); code != c.code || !strings.Contains(stderr.String(), c.says) ||
			strings.Contains(stderr.String(), "no setting") != (c.says != "") {
			t.Errorf("%s: sluice %s: exit code %d:\n%s", c.name, c.command, code, stderr.String())
		}
	}
}
