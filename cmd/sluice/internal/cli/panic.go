package cli

import (
	"errors"
	"os"
	"runtime/debug"
)

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
	p.say("exit code %d (%s): this is a bug, please report it; the stack is in %s", ExitUnexpected, exitMeaning(ExitUnexpected), keepStack(string(stack)))
	return ExitUnexpected
}

// keepStack writes the stack of a panic to a file and returns its name.
func keepStack(stack string) string {
	file, err := os.CreateTemp("", "sluice-panic-*.txt") // 0600, and nobody can have put a link there
	if err != nil {
		return "the log: " + stack
	}
	_, err = file.WriteString(stack)
	if err := errors.Join(err, file.Close()); err != nil {
		return "the log: " + stack
	}
	return file.Name()
}
