// Package cli is the command line of Sluice: commands, settings, exit codes. It builds a source and a store from the settings,
// hands them to package job, and turns the verdict into words and an exit code.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/sink/embedpg"
)

// The exit codes, part of the contract (docs/exit-codes.md).
const (
	ExitOK          = 0
	ExitUnexpected  = 1 // a bug, or an unforeseen error
	ExitUsage       = 2 // wrong usage or configuration
	ExitUnreachable = 3 // work could not start, or the key was refused at any time
	ExitLeft        = 4 // work was done, more is left: the same command resumes
	ExitDoubt       = 5 // the check failed, or the dead-letter budget stopped the run
	ExitLocked      = 6 // another run holds the job
)

// exitError carries an exit code, and what to do next.
type exitError struct {
	code int
	err  error
	hint string
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func fail(code int, hint string, err error) error { return &exitError{code, err, hint} }

func usage(format string, args ...any) error {
	return fail(ExitUsage, "", fmt.Errorf(format, args...))
}

// Program is one run of the command line, with its surroundings as values, so that a test can start the very same program.
type Program struct {
	Stdout  io.Writer
	Stderr  *terminal.Console
	Environ func(name string) (value string, found bool)
	Names   func() []string // of the variables of the environment; nil: those that are no setting are not noticed
	Exit    func(code int)  // ends the process at once: a second signal, or a panic in a goroutine
	Version string          // default "dev"
	// LimitHeap sets what the heap may have before the collector works harder. Nil means that it is left as it is.
	LimitHeap func(bytes int64)

	jsonLines   bool   // stderr is for a script
	givenSchema string // on the command line: commands of hints need it too
}

// Main runs the command line and returns the exit code. The last line says which, and what to do next.
func (p *Program) Main(ctx context.Context, args []string) (code int) {
	defer func() {
		if r := recover(); r != nil {
			code = p.panicked(r, debug.Stack())
		}
	}()
	root := p.Root()
	root.SetArgs(args)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	return p.report(root.ExecuteContext(ctx))
}

// report prints an error and what to do about it, and returns the exit code.
func (p *Program) report(err error) int {
	if err == nil {
		return ExitOK
	}
	coded, ok := errors.AsType[*exitError](err)
	if !ok {
		coded = &exitError{code: ExitUnexpected, err: err}
	}
	p.sayEnd(coded.code, err, cmp.Or(coded.hint, exits[coded.code].advice))
	return coded.code
}

// aCommand is a command that a hint names.
var aCommand = regexp.MustCompile("`sluice ((?:dead-letters |db )?[a-z-]+)")

// inSchema adds the schema to the commands that a hint names, if the command line gave one.
func (p *Program) inSchema(hint string) string {
	if p.givenSchema == "" {
		return hint
	}
	return aCommand.ReplaceAllStringFunc(hint, func(command string) string {
		cmd, _, err := p.Root().Find(strings.Fields(command)[1:])
		if err != nil || cmd.Flag("schema") == nil {
			return command
		}
		return command + " --schema=" + embedpg.ShellWord(p.givenSchema)
	})
}

// exits is what an exit code means, and what to do if an error has no better hint.
var exits = map[int]struct{ meaning, advice string }{
	ExitUnexpected:  {"unexpected error", "the same command goes on where this one stopped"},
	ExitUsage:       {"wrong usage or configuration", "sluice --help shows the commands, sluice <command> --help their settings"},
	ExitUnreachable: {"work could not start, or the key was refused", "`sluice doctor` looks at the database and the API"},
	ExitLeft:        {"work is left, the same command resumes it", "the same command goes on where this one stopped"},
	ExitDoubt:       {"the data are in doubt", "`sluice verify` shows the figures"},
	ExitLocked:      {"another run holds the job", "wait for the other run, or stop it; `sluice status` shows how far it is"},
}

// Root builds the command line.
func (p *Program) Root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Pulls every event of the DataSync Analytics API into PostgreSQL, exactly once",
		Long: "Sluice pulls every event out of the DataSync Analytics API and puts it into PostgreSQL: in parallel time windows,\n" +
			"inside the API's rate limits, exactly once, resumable at every page.\n\n" +
			"Environment: API_BASE_URL, TARGET_API_KEY, DATABASE_URL; every flag --page-size is also SLUICE_PAGE_SIZE.\n" +
			"Without API_BASE_URL a simulator is started and ingested; without DATABASE_URL a private PostgreSQL is used.",
		Example: "  sluice run --shards=8                          the demo: a simulator and a PostgreSQL of its own\n" +
			"  export API_BASE_URL=https://… TARGET_API_KEY=… DATABASE_URL=postgres://…\n" +
			"  sluice doctor                                  is everything as it should be?\n" +
			"  sluice plan                                    what would a run do, and how long?\n" +
			"  sluice run --listen 127.0.0.1:8080             ingest, with a live page\n" +
			"  sluice status --watch                          how far is it? (from another terminal)",
		SilenceErrors: true, SilenceUsage: true,
		SuggestionsMinimumDistance: 2,
		Args: func(root *cobra.Command, args []string) error {
			if len(args) > 0 {
				return mistypedCommand(root, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if schema := cmd.Flag("schema"); schema != nil && schema.Changed {
				p.givenSchema = schema.Value.String()
			}
			if err := p.applyEnvironment(cmd.Flags()); err != nil {
				return err
			}
			asked, err := cmd.Flags().GetBool("json")
			p.jsonLines = err == nil && asked && cmd.Annotations[asLines] != ""
			return p.checkEnvironment(cmd)
		},
	}
	root.SetFlagErrorFunc(mistypedFlag)
	p.addCommands(root)
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := io.WriteString(cmd.OutOrStderr(), usageOf(cmd))
		return err
	})
	p.complete(root)
	return root
}

// addCommands adds all commands, in the groups in which the help shows them.
func (p *Program) addCommands(root *cobra.Command) {
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"ingest", "Ingest:", []*cobra.Command{
			p.runCommand(), p.syncCommand(), p.followCommand(), p.backfillCommand(), p.planCommand(),
		}},
		{"look", "Look at it:", []*cobra.Command{p.statusCommand(), p.verifyCommand(), p.reportCommand(), p.deadLettersCommand()}},
		{"around", "What is around it:", []*cobra.Command{p.doctorCommand(), p.dbCommand(), p.simulateCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, cmd := range g.commands {
			cmd.GroupID = g.id
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(p.versionCommand(), p.manCommand())
}

func (p *Program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.Stdout, "sluice", p.version())
			return err
		},
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("sluice %s takes no argument, %s was given", cmd.Name(), wordOf(args[0]))
	}
	return nil
}

// aWord is what a mistyped command or argument looks like.
var aWord = regexp.MustCompile(`^[a-z-]{1,20}$`)

// wordOf repeats an argument that is in the wrong place only if it cannot be a secret that was pasted there.
func wordOf(arg string) string {
	if aWord.MatchString(arg) {
		return strconv.Quote(arg)
	}
	return fmt.Sprintf("a text of %d bytes", len(arg))
}

func (p *Program) version() string { return cmp.Or(p.Version, "dev") }
