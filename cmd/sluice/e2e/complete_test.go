package e2e

import (
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// TestShellsAreOfferedValues: of settings that have few, and the names of jobs and reasons from the database.
func TestShellsAreOfferedValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, func(c *apisim.Config) { c.MalformedShare = 0.002 })
	w.mustRun(cli.ExitOK, "run", "--job=january")
	for line, want := range map[string]string{
		"__complete run --demo-profile=":                       "challenge\n",
		"__complete run --log-level=":                          "warn\n",
		"__complete status --job=":                             "january\n",
		"__complete dead-letters list --job=january --reason=": "timestamp\n",
		"__complete st":                                        "status\tShow how far",
		"completion bash":                                      "__start_sluice",
	} {
		if r := w.mustRun(cli.ExitOK, strings.Fields(line)...); !contains(r.stdout, want) {
			t.Errorf("sluice %s: %q is not in\n%s", line, want, r.stdout)
		}
	}
	w.env[cli.EnvDatabase] = "postgres://u:p@127.0.0.1:1/x"
	if r := w.mustRun(cli.ExitOK, "__complete", "status", "--job="); contains(r.stdout, "january") {
		t.Errorf("a database that is away offers\n%s", r.stdout)
	}
}
