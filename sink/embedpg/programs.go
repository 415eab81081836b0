package embedpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldest is the first major version with everything that Sluice uses: drop database … with (force), in the tests.
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

// findPrograms returns the installations that have both initdb and postgres: the one on PATH first, then the newest. Root is
// "/", except in tests.
func findPrograms(ctx context.Context, root string) []programs {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real)) // initdb is beside the program, not beside the link
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
	rest := usable(ctx, dirs[named:])
	slices.SortStableFunc(rest, func(a, b programs) int { return cmp.Compare(b.major, a.major) })
	return append(usable(ctx, dirs[:named]), rest...)
}

// usable keeps the directories that hold a server of a supported version.
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

// choose returns the installation to start a home with: an existing cluster needs its own major version, as no other can read
// it.
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
		"or set DATABASE_URL, or remove that directory to start with an empty database", h, need, strings.Join(have, ", "), need)
}

// MissingError means that no PostgreSQL server is installed and that we may not install one.
type MissingError struct {
	// Command installs it; empty if the system's package manager is unknown.
	Command string
}

func (e *MissingError) Error() string {
	how := "install PostgreSQL 16 with your system's package manager"
	if e.Command != "" {
		how = "install one with: " + e.Command
	}
	return "no PostgreSQL server is installed here; " + how + " (or start Docker, or set DATABASE_URL)"
}

// packager is a package manager and how it installs the server.
type packager struct {
	tool    string
	install []string // command lines
	user    bool     // for ordinary users: never run by root
}

var packagers = []packager{
	{tool: "apt-get", install: []string{
		"apt-get -q update",
		"apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends postgresql",
	}},
	{tool: "dnf", install: []string{"dnf -y install postgresql-server"}},
	{tool: "yum", install: []string{"yum -y install postgresql-server"}},
	{tool: "apk", install: []string{"apk add --no-cache postgresql"}},
	{tool: "pacman", install: []string{"pacman -Sy --noconfirm --needed postgresql"}},
	{tool: "zypper", install: []string{"zypper --non-interactive install postgresql-server"}},
	{tool: "brew", install: []string{"brew install postgresql@16"}, user: true},
}

// installServer installs PostgreSQL through the package manager if we are root; otherwise the error names the command.
func installServer(ctx context.Context, say func(string)) error {
	for _, p := range packagers {
		if _, err := exec.LookPath(p.tool); err != nil {
			continue
		}
		if os.Geteuid() == 0 && !p.user {
			say("no PostgreSQL server is installed: installing it with " + p.tool)
			return p.run(ctx)
		}
		return &MissingError{Command: p.line()}
	}
	return &MissingError{}
}

// line is the shell command.
func (p packager) line() string {
	if p.user {
		return strings.Join(p.install, " && ")
	}
	return "sudo " + strings.Join(p.install, " && sudo ")
}

func (p packager) run(ctx context.Context) error {
	if p.tool == "apt-get" {
		undo, err := noMainCluster(createClusterDir)
		if err != nil {
			return err
		}
		defer undo()
	}
	var failed error
	for _, line := range p.install {
		words := strings.Fields(line)
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		out, err := cmd.CombinedOutput()
		if err == nil {
			failed = nil // an `update` may fail because of a source that the installation does not need
			continue
		}
		failed = errors.Join(failed, fmt.Errorf("install PostgreSQL with %q: %w\n%s", line, err, lastLines(string(out), 10)))
	}
	return failed
}

// createClusterDir is read by the scripts of Debian's packages, as createcluster.conf includes it (postgresql-common 173 and
// later).
const createClusterDir = "/etc/postgresql-common/createcluster.d"

// noMainCluster keeps Debian's package from creating and starting a cluster on port 5432. The setting is removed afterwards: what
// the administrator installs later is not our affair.
func noMainCluster(dir string) (undo func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("keep the package from creating a cluster: %w", err)
	}
	path := filepath.Join(dir, "sluice.conf")
	if err := os.WriteFile(path, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		return nil, fmt.Errorf("keep the package from creating a cluster: %w", err)
	}
	return func() {
		_ = os.Remove(path)
		_ = os.Remove(dir) // only if it is empty
	}, nil
}

// ensurePrograms finds the server's programs, and installs them if that is allowed.
func ensurePrograms(ctx context.Context, say func(string)) ([]programs, error) {
	if all := findPrograms(ctx, "/"); len(all) > 0 {
		return all, nil
	}
	if os.Geteuid() == 0 { // two installations at once would fail, and remove each other's settings
		if err := os.MkdirAll(rootBase, 0o755); err != nil {
			return nil, fmt.Errorf("install PostgreSQL: %w", err)
		}
		held, err := take(ctx, filepath.Join(rootBase, "install.lock"))
		if err != nil {
			return nil, err
		}
		defer held.Close()
		if all := findPrograms(ctx, "/"); len(all) > 0 {
			return all, nil
		}
	}
	if err := installServer(ctx, say); err != nil {
		return nil, err
	}
	if all := findPrograms(ctx, "/"); len(all) > 0 {
		return all, nil
	}
	return nil, errors.New("find the PostgreSQL server: the package was installed, but its programs are in no known place")
}

// lastLines returns the end of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
