package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/terminal"
)

// TestThePanicsFileIsOurs: nobody else may read the stack, and its name cannot be foreseen.
func TestThePanicsFileIsOurs(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	first, second := keepStack("one"), keepStack("another")
	if first == second {
		t.Errorf("both stacks are in %s", first)
	}
	info, err := os.Stat(first)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if text := read(t, first); text != "one" {
		t.Errorf("the file says %q", text)
	}
}

// TestAPanicExitsWith1, in whatever goroutine: Go's own code for it would say "wrong usage".
func TestAPanicExitsWith1(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for name, where := range map[string]func(p *program) int{
		"a command": func(p *program) int {
			p.environ = func(string) (string, bool) { panic("a bug") }
			return p.main(t.Context(), []string{"run"})
		},
		"a goroutine": func(p *program) (code int) {
			p.exit = func(c int) { code = c }
			p.guarded(func() { panic("a bug") })()
			return code
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			console := terminal.NewConsole(&out)
			code := where(&program{stdout: &out, stderr: console, console: console})
			_, file, found := strings.Cut(strings.TrimSpace(out.String()), "the stack is in ")
			if code != exitUnexpected || !found || !contains(read(t, file), "panic_test.go") {
				t.Errorf("exit code %d:\n%s", code, out.String())
			}
		})
	}
}
