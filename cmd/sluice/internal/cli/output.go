package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"sluice/cmd/sluice/internal/terminal"
)

// asLines marks the commands that with --json write JSON to stderr as well: one object a line, for the log, the progress and messages.
const asLines = "json-lines"

// say prints a line about what was chosen. It goes to stderr: stdout is for results.
func (p *Program) say(format string, args ...any) {
	if p.jsonLines {
		p.lines(slog.LevelInfo, fmt.Sprintf(format, args...))
		return
	}
	fmt.Fprintf(p.Stderr, "sluice: "+format+"\n", args...)
}

// lines writes an object of the log.
func (p *Program) lines(level slog.Level, text string, attrs ...any) {
	slog.New(slog.NewJSONHandler(p.Stderr, nil)).Log(context.Background(), level, text, attrs...)
}

// sayEnd prints an error, what its code means and what to do about it.
func (p *Program) sayEnd(code int, err error, hint string) {
	text, hint := p.inSchema(err.Error()), p.inSchema(hint)
	if p.jsonLines {
		p.lines(slog.LevelError, text, "exit_code", code, "meaning", exits[code].meaning, "hint", hint)
		return
	}
	p.say("%s", text)
	p.say("exit code %d (%s): %s", code, exits[code].meaning, hint)
}

// paper is stdout for people.
func (p *Program) paper() *terminal.Paper { return terminal.NewPaper(p.Stdout, p.Environ) }

func (p *Program) logger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usage("--log-level %q: it must be debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: l}
	if p.jsonLines {
		return slog.New(slog.NewJSONHandler(p.Stderr, options)), nil
	}
	return slog.New(slog.NewTextHandler(p.Stderr, options)), nil
}

// guarded returns f with its panics caught: they end the process as those of the main goroutine do, not with Go's own exit
// code 2, which means wrong usage here.
func (p *Program) guarded(f func()) func() {
	return func() {
		defer func() {
			if r := recover(); r != nil {
				p.Exit(p.panicked(r, debug.Stack()))
			}
		}()
		f()
	}
}

// panicked says what to do about a panic, and returns the exit code.
func (p *Program) panicked(r any, stack []byte) int {
	p.say("panic: %v", r)
	p.say("exit code %d (%s): this is a bug, please report it; the stack is in %s", ExitUnexpected, exits[ExitUnexpected].meaning, keepStack(string(stack)))
	return ExitUnexpected
}

// keepStack writes the stack of a panic to a file and returns its name.
func keepStack(stack string) string {
	file, err := os.CreateTemp("", "sluice-panic-*.txt") // mode 0600, with an unpredictable name, so no link can wait there
	if err != nil {
		return "the log: " + stack
	}
	_, err = file.WriteString(stack)
	if err := errors.Join(err, file.Close()); err != nil {
		return "the log: " + stack
	}
	return file.Name()
}
