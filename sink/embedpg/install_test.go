package embedpg

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// As root the package manager is called and announced; an ordinary user is told the exact command.
func TestInstallServer(t *testing.T) {
	bin := t.TempDir()
	calls := filepath.Join(bin, "calls")
	program(t, filepath.Join(bin, "dnf"), `echo "dnf $*" >>`+calls+"\n")
	t.Setenv("PATH", bin)
	var said []string
	err := installServer(t.Context(), func(line string) { said = append(said, line) })
	var missing *MissingError
	switch {
	case os.Geteuid() != 0:
		if !errors.As(err, &missing) || missing.Command != "sudo dnf -y install postgresql-server" {
			t.Errorf("error %v", err)
		}
	case err != nil || len(said) != 1 || !strings.Contains(said[0], "dnf"):
		t.Errorf("said %q, error %v", said, err)
	default:
		if b, _ := os.ReadFile(calls); string(b) != "dnf -y install postgresql-server\n" {
			t.Errorf("calls %q", b)
		}
	}
}

func TestInstallServerFails(t *testing.T) {
	bin := t.TempDir()
	program(t, filepath.Join(bin, "apk"), "echo no space left; exit 7\n")
	t.Setenv("PATH", bin)
	p := packager{tool: "apk", install: []string{"apk add postgresql"}}
	if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error %v", err)
	}
}

func TestInstallServerWithoutAPackageManager(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := installServer(t.Context(), func(string) {})
	if !errors.As(err, new(*MissingError)) || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("error %v", err)
	}
}

// Homebrew refuses root, and its packages need no sudo.
func TestInstallLine(t *testing.T) {
	t.Parallel()
	for _, p := range packagers {
		if strings.Contains(p.line(), "sudo") == p.user {
			t.Errorf("%s: %s", p.tool, p.line())
		}
	}
}

func TestNoMainCluster(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "postgresql-common", "createcluster.d")
	undo, err := noMainCluster(dir)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.conf")) // the form that include_dir reads
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	if b, _ := os.ReadFile(files[0]); string(b) != "create_main_cluster = false\n" {
		t.Errorf("content %q", b)
	}
	undo()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the setting stays: %v", err)
	}
}
