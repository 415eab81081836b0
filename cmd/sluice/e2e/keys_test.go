package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// keysOf returns the paths of all keys of a JSON value. Keys that are data, such as the number of a shard, are one: #.
func keysOf(path string, v any, found map[string]bool) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			keysOf(path+"[]", one, found)
		}
	case map[string]any:
		for name, one := range v {
			if strings.Trim(name, "0123456789") == "" {
				name = "#"
			}
			keysOf(path+"."+name, one, found)
		}
	default:
		found[path+" "+kindOf(v)] = true
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case float64:
		return "number"
	case bool:
		return "truth"
	}
	return "null"
}

// TestKeysAreStable: scripts rely on the keys that --json prints; testdata/keys has those of each command. New keys may be added there
// (UPDATE_KEYS=1 writes the files), old ones must stay.
func TestKeysAreStable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, func(c *apisim.Config) { c.MalformedShare = 0.002 })
	w.env["SLUICE_FETCHERS"] = "1" // the first dead letter is the same one each time
	for _, line := range []string{
		"run --shards=4 --json", "status --json", "status --watch --json", "verify --json", "plan --shards=4 --json", "doctor --json",
		"dead-letters list --json", "dead-letters show 1 --json", "dead-letters replay --dry-run --json",
	} {
		r := w.mustRun(cli.ExitOK, strings.Fields(line)...)
		var v any
		if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
			t.Errorf("sluice %s: %v in\n%s", line, err, r.stdout)
			continue
		}
		found := map[string]bool{}
		keysOf("", v, found)
		var keys strings.Builder
		for _, key := range slices.Sorted(maps.Keys(found)) {
			fmt.Fprintln(&keys, key)
		}
		golden(t, line, keys.String())
	}
}

func golden(t *testing.T, line, got string) {
	t.Helper()
	name := strings.NewReplacer(" --json", "", " ", "-", "=", "-").Replace(line)
	path := filepath.Join("testdata", "keys", name+".txt")
	if os.Getenv("UPDATE_KEYS") != "" {
		write(t, path, got)
	}
	if want := read(t, path); got != want {
		t.Errorf("sluice %s prints the keys\n%s\n%s has\n%s", line, got, path, want)
	}
}

// TestJSONLinesOfARun: with --json each line of stderr is an object, too, also if the run fails.
func TestJSONLinesOfARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, func(c *apisim.Config) { c.TotalError = 3 })
	r := w.mustRun(cli.ExitDoubt, "run", "--json", "--listen=127.0.0.1:0", "--log-level=debug")
	lines := splitLines(r.stderr)
	for _, line := range lines {
		var said struct{ Time, Level, Msg string }
		if err := json.Unmarshal([]byte(line), &said); err != nil || said.Time == "" || said.Level == "" || said.Msg == "" {
			t.Errorf("%v in %q", err, line)
		}
	}
	last := lines[len(lines)-1]
	if !contains(last, `"level":"ERROR"`) || !contains(last, `"exit_code":5`) || !contains(last, `"hint":`) {
		t.Errorf("the last line is %q", last)
	}
	if n := len(splitLines(r.stdout)); n != 1 {
		t.Errorf("the result is of %d lines:\n%s", n, r.stdout)
	}
}
