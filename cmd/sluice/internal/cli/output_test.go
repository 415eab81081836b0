package cli

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
	if text, err := os.ReadFile(first); err != nil || string(text) != "one" {
		t.Errorf("the file says %q", text)
	}
}

// TestAPanicExitsWith1, in whatever goroutine: Go's own code for it would say "wrong usage".
func TestAPanicExitsWith1(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for name, where := range map[string]func(p *Program) int{
		"a command": func(p *Program) int {
			p.Environ = func(string) (string, bool) { panic("a bug") }
			return p.Main(t.Context(), []string{"run"})
		},
		"a goroutine": func(p *Program) (code int) {
			p.Exit = func(c int) { code = c }
			p.guarded(func() { panic("a bug") })()
			return code
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			console := terminal.NewConsole(&out)
			code := where(&Program{Stdout: &out, Stderr: console})
			_, file, found := strings.Cut(strings.TrimSpace(out.String()), "the stack is in ")
			stack, err := os.ReadFile(file)
			if code != ExitUnexpected || !found || err != nil || !strings.Contains(string(stack), "output_test.go") {
				t.Errorf("exit code %d:\n%s", code, out.String())
			}
		})
	}
}
