package embedpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// MissingError says that no PostgreSQL server is installed and that we may not install one.
type MissingError struct {
	// Command installs it; empty where the system's package manager is none we know.
	Command string
}

func (e *MissingError) Error() string {
	how := "install PostgreSQL 16 with your system's package manager"
	if e.Command != "" {
		how = "install one with: " + e.Command
	}
	return "no PostgreSQL server is installed here; " + how + " (or start Docker, or set DATABASE_URL)"
}

// packager is a system's package manager and how it installs the server.
type packager struct {
	tool    string
	install []string // command lines
	user    bool     // is for ordinary users: never run by root
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

// installServer installs PostgreSQL through the package manager where we are root; otherwise it errs with the command.
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

// line is what a person types.
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
			failed = nil // an `update` may fail because of some other source that the installation does not need
			continue
		}
		failed = errors.Join(failed, fmt.Errorf("install PostgreSQL with %q: %w\n%s", line, err, lastLines(string(out), 10)))
	}
	return failed
}

// createClusterDir is read by the scripts of Debian's packages, where createcluster.conf includes it (postgresql-common 173
// and later).
const createClusterDir = "/etc/postgresql-common/createcluster.d"

// noMainCluster keeps Debian's package from creating and starting a cluster on port 5432 that nobody asked for. The setting
// is taken back afterwards: what the administrator installs later is not our affair.
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

// ensurePrograms finds the server's programs, installing them where that is allowed.
func ensurePrograms(ctx context.Context, say func(string)) ([]programs, error) {
	if all := findPrograms(ctx, "/"); len(all) > 0 {
		return all, nil
	}
	if os.Geteuid() == 0 { // two installations at once would fail, and take each other's settings away
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
	return nil, errors.New("find the PostgreSQL server: the package was installed, but its programs are in no place that is known")
}

// lastLines returns the end of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
