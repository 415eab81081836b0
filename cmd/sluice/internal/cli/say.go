package cli

import (
	"context"
	"fmt"
	"log/slog"
)

// asLines marks the commands whose stderr is JSON, too, with --json: an object a line, as the log, the progress and what is said.
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
	if p.jsonLines {
		p.lines(slog.LevelError, err.Error(), "exit_code", code, "meaning", exitMeaning(code), "hint", hint)
		return
	}
	p.say("%v", err)
	p.say("exit code %d (%s): %s", code, exitMeaning(code), hint)
}

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
