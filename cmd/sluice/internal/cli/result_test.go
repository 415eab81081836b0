package cli

import "testing"

func TestPathsAreQuotedForAShell(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		".sluice/bin/sluice": ".sluice/bin/sluice",
		"/a b/sluice":        "'/a b/sluice'",
		"/it's/sluice":       `'/it'\''s/sluice'`,
	} {
		if got := shellWord(path); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", path, got, want)
		}
	}
}
