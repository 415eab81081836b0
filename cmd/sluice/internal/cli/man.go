package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/cmd/sluice/internal/terminal"
)

func (p *Program) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man", Short: "Print the manual page", Args: noArgs,
		Long: "Prints the manual page of all commands, in the language of man(7).",
		Example: "  sluice man | man -l -\n" +
			"  sluice man > /usr/local/share/man/man1/sluice.1",
		RunE: func(cmd *cobra.Command, _ []string) error { return writeManual(p.paper(), cmd.Root(), p.version()) },
	}
}

// manual writes roff. Nothing of it is kept in a file, where it would grow old.
type manual struct{ *terminal.Paper }

// roff makes text of what would otherwise be a request or an escape, and hyphens that can be copied.
var roff = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`)

// plainText escapes a text, beyond ASCII by its code points: not every troff takes UTF-8.
func plainText(s string) string {
	var b strings.Builder
	for _, r := range roff.Replace(s) {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, `\[u%04X]`, r)
	}
	return b.String()
}

func (m *manual) text(s string) {
	for _, line := range strings.Split(s, "\n") {
		if line == "" {
			m.Line(".PP")
			continue
		}
		m.Line(`\&%s`, plainText(line))
	}
}

func writeManual(out *terminal.Paper, root *cobra.Command, version string) error {
	m := &manual{out}
	m.Line(`.TH SLUICE 1 "" "sluice %s"`, plainText(version))
	m.Line(".SH NAME")
	m.text("sluice - " + root.Short)
	m.Line(".SH SYNOPSIS")
	m.Line(`.B sluice` + "\n" + `.I command` + "\n" + `[\fIflags\fR]`)
	m.Line(".SH DESCRIPTION")
	m.text(root.Long)
	m.Line(".SH COMMANDS")
	for _, cmd := range root.Commands() {
		m.command(cmd)
	}
	m.exits()
	return m.Err()
}

func (m *manual) command(cmd *cobra.Command) {
	if !cmd.IsAvailableCommand() || cmd.Name() == "completion" {
		return
	}
	if cmd.Runnable() && !cmd.HasSubCommands() {
		m.Line(".SS %s", plainText(strings.TrimSuffix(cmd.UseLine(), " [flags]")))
		m.text(long(cmd))
		for _, g := range groupsOf(cmd) {
			m.flags(g)
		}
		m.examples(cmd)
	}
	for _, below := range cmd.Commands() {
		m.command(below)
	}
}

func long(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

func (m *manual) flags(g groupOfFlags) {
	m.Line(".PP\n.B %s", plainText(g.title))
	g.flags.VisitAll(func(f *pflag.Flag) {
		kind, usage := pflag.UnquoteUsage(f)
		m.Line(".TP\n\\fB%s\\fR %s", plainText("--"+f.Name), plainText(kind))
		if !strings.Contains(usage, "default") && f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" && f.DefValue != "[]" {
			usage += " (default " + f.DefValue + ")"
		}
		m.text(usage)
	})
}

func (m *manual) examples(cmd *cobra.Command) {
	if cmd.Example == "" {
		return
	}
	m.Line(".PP\nExamples:\n.PP\n.RS\n.nf")
	for _, line := range strings.Split(cmd.Example, "\n") {
		m.Line(`\&%s`, plainText(strings.TrimSpace(line)))
	}
	m.Line(".fi\n.RE")
}

func (m *manual) exits() {
	m.Line(".SH EXIT STATUS")
	m.Line(".TP\n0")
	m.text("complete and verified")
	for code := ExitUnexpected; code <= ExitLocked; code++ {
		m.Line(".TP\n%d", code)
		m.text(exits[code].meaning + "; " + exits[code].advice)
	}
	m.Line(".TP\n130, 143")
	m.text("left at once, by a second signal; the same command goes on")
}
