package cli

import (
	"os"
	"testing"
)

// The variables of libpq are meant for another server than our own: a session of the private one must not see them.
func TestVariablesOfLibpqAreIgnored(t *testing.T) {
	for _, name := range []string{"PGSERVICE", "PGOPTIONS", "PGTARGETSESSIONATTRS", "PGTZ"} {
		t.Setenv(name, "nonsense")
	}
	if _, err := findServer(); err == nil {
		t.Log("there is a server")
	}
	for _, name := range []string{"PGSERVICE", "PGOPTIONS", "PGTARGETSESSIONATTRS", "PGTZ"} {
		if value, set := os.LookupEnv(name); set {
			t.Errorf("%s=%s is still there", name, value)
		}
	}
}
