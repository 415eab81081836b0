package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (p *Program) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man", Short: "Print the manual page", Args: noArgs,
		Long: "Prints the manual page of all commands, in the language of man(7).",
		Example: "  sluice man | man -l -\n" +
			"  sluice man > /usr/local/share/man/man1/sluice.1",
		RunE: func(cmd *cobra.Command, _ []string) error { return writeManual(p.Stdout, cmd.Root(), p.version()) },
	}
}

// manual writes roff. Nothing of it is kept in a file, where it would grow old.
type manual struct{ printer }

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
			m.line(".PP")
			continue
		}
		m.line(`\&%s`, plainText(line))
	}
}

func writeManual(w io.Writer, root *cobra.Command, version string) error {
	m := &manual{printer{w: w}}
	m.line(`.TH SLUICE 1 "" "sluice %s"`, plainText(version))
	m.line(".SH NAME")
	m.text("sluice - " + root.Short)
	m.line(".SH SYNOPSIS")
	m.line(`.B sluice` + "\n" + `.I command` + "\n" + `[\fIflags\fR]`)
	m.line(".SH DESCRIPTION")
	m.text(root.Long)
	m.line(".SH COMMANDS")
	for _, cmd := range root.Commands() {
		m.command(cmd)
	}
	m.exits()
	return m.err
}

func (m *manual) command(cmd *cobra.Command) {
	if !cmd.IsAvailableCommand() || cmd.Name() == "completion" {
		return
	}
	if cmd.Runnable() && !cmd.HasSubCommands() {
		m.line(".SS %s", plainText(strings.TrimSuffix(cmd.UseLine(), " [flags]")))
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
	if count(g.flags) == 0 {
		return
	}
	m.line(".PP\n.B %s", plainText(g.title))
	g.flags.VisitAll(func(f *pflag.Flag) {
		kind, usage := pflag.UnquoteUsage(f)
		m.line(".TP\n\\fB%s\\fR %s", plainText("--"+f.Name), plainText(kind))
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
	m.line(".PP\nExamples:\n.PP\n.RS\n.nf")
	for _, line := range strings.Split(cmd.Example, "\n") {
		m.line(`\&%s`, plainText(strings.TrimSpace(line)))
	}
	m.line(".fi\n.RE")
}

func (m *manual) exits() {
	m.line(".SH EXIT STATUS")
	m.line(".TP\n0")
	m.text("complete and verified")
	for code := ExitUnexpected; code <= ExitLocked; code++ {
		m.line(".TP\n%d", code)
		m.text(exitMeaning(code) + "; " + exitAdvice(code))
	}
	m.line(".TP\n130, 143")
	m.text("left at once, by a second signal; the same command goes on")
}
