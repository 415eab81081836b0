package embedpg

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldest is the first major version with all that Sluice uses: drop database … with (force), in the tests.
const oldest = 13

// programs are the server's programs of one installation.
type programs struct {
	dir   string
	major int
}

func (p programs) path(name string) string { return filepath.Join(p.dir, name) }

// places are the directories where packages put the server's programs, which are seldom on PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",                              // Debian, Ubuntu, SUSE
	"/usr/pgsql-*/bin",                                       // PGDG on Fedora and its kin
	"/usr/libexec/postgresql*",                               // Alpine
	"/opt/homebrew/opt/postgresql*/bin",                      // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",                         // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",         // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin",     // Postgres.app
	"/opt/local/lib/postgresql*/bin", "/usr/local/pgsql/bin", // MacPorts, built from source
}

// findPrograms returns the installations that have both initdb and postgres: that of PATH first, then the newest. Root is
// "/", except in tests.
func findPrograms(ctx context.Context, root string) []programs {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real)) // initdb stands beside the program, not beside the link
		}
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	named := len(dirs)
	for _, place := range places {
		found, _ := filepath.Glob(filepath.Join(root, place))
		dirs = append(dirs, found...)
	}
	return append(usable(ctx, dirs[:named]), newestFirst(usable(ctx, dirs[named:]))...)
}

func newestFirst(all []programs) []programs {
	slices.SortStableFunc(all, func(a, b programs) int { return cmp.Compare(b.major, a.major) })
	return all
}

// usable keeps the directories that hold a server of a version that will do.
func usable(ctx context.Context, dirs []string) []programs {
	var all []programs
	for _, dir := range dirs {
		p := programs{dir: dir}
		if _, err := os.Stat(p.path("initdb")); err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, p.path("postgres"), "--version").Output()
		if err != nil {
			continue
		}
		if p.major = majorOf(string(out)); p.major >= oldest {
			all = append(all, p)
		}
	}
	return all
}

// versionForm finds the major version in "postgres (PostgreSQL) 16.4 (Debian 16.4-1)" and in "17beta1".
var versionForm = regexp.MustCompile(`(?:^|\) )(\d+)`)

func majorOf(text string) int {
	m := versionForm.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// choose returns the installation to start a home with: for a cluster that exists the one of its major version, as another
// cannot read it.
func choose(all []programs, h home) (programs, error) {
	b, err := os.ReadFile(filepath.Join(h.data(), "PG_VERSION"))
	if err != nil {
		return all[0], nil
	}
	need := majorOf(string(b))
	var have []string
	for _, p := range all {
		if p.major == need {
			return p, nil
		}
		have = append(have, strconv.Itoa(p.major))
	}
	return programs{}, fmt.Errorf("the data in %s are of PostgreSQL %d, and only PostgreSQL %s is installed: install version %d, "+
		"or set DATABASE_URL, or remove that directory to begin with an empty database", h, need, strings.Join(have, ", "), need)
}
