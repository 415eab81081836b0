package embedpg

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMajorOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"postgres (PostgreSQL) 16.4 (Debian 16.4-1.pgdg120+1)": 16,
		"postgres (PostgreSQL) 17beta1":                        17,
		"postgres (PostgreSQL) 9.6.24":                         9,
		"15\n":                                                 15,
		"":                                                     0,
		"EDB Postgres Advanced Server 14.2":                    0,
	} {
		if got := majorOf(text); got != want {
			t.Errorf("majorOf(%q) = %d, want %d", text, got, want)
		}
	}
}

// program writes a shell script.
func program(t *testing.T, path, script string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// installation is what findPrograms looks for.
func installation(t *testing.T, dir, version string) {
	t.Helper()
	program(t, filepath.Join(dir, "initdb"), "exit 0\n")
	program(t, filepath.Join(dir, "postgres"), "echo 'postgres (PostgreSQL) "+version+"'\n")
}

func TestFindPrograms(t *testing.T) {
	root, link, config := t.TempDir(), t.TempDir(), t.TempDir()
	installation(t, filepath.Join(root, "usr/lib/postgresql/9.6/bin"), "9.6.24") // too old
	installation(t, filepath.Join(root, "usr/lib/postgresql/14/bin"), "14.1")
	installation(t, filepath.Join(root, "usr/lib/postgresql/17/bin"), "17.1")
	installation(t, filepath.Join(root, "opt/homebrew/opt/postgresql@18/bin"), "18.0")
	installation(t, filepath.Join(root, "usr/libexec/postgresql15"), "15.0")
	program(t, filepath.Join(root, "usr/pgsql-19/bin/postgres"), "echo 'postgres (PostgreSQL) 19.0'\n") // no initdb
	installation(t, filepath.Join(config, "bin"), "13.3")
	program(t, filepath.Join(link, "pg_config"), "echo "+filepath.Join(config, "bin")+"\n")
	// Only postgres is linked into PATH, initdb stands beside the program itself.
	if err := os.Symlink(filepath.Join(root, "usr/lib/postgresql/14/bin/postgres"), filepath.Join(link, "postgres")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", link)
	var majors []int
	for _, p := range findPrograms(t.Context(), root) {
		majors = append(majors, p.major)
	}
	if want := []int{14, 13, 18, 17, 15, 14}; !slices.Equal(majors, want) {
		t.Errorf("found %v, want %v: PATH, pg_config, then the newest", majors, want)
	}
	t.Setenv("PATH", t.TempDir())
	if all := findPrograms(t.Context(), t.TempDir()); len(all) != 0 {
		t.Errorf("found %v where nothing is", all)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	all := []programs{{"/a", 17}, {"/b", 15}}
	h := home(t.TempDir())
	if p, err := choose(all, h); err != nil || p.dir != "/a" {
		t.Errorf("without a cluster: %v, error %v", p, err)
	}
	cluster := func(version string) {
		if err := os.MkdirAll(h.data(), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(h.data(), "PG_VERSION"), []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cluster("15\n")
	if p, err := choose(all, h); err != nil || p.dir != "/b" {
		t.Errorf("a cluster of 15: %v, error %v", p, err)
	}
	cluster("16\n")
	_, err := choose(all, h)
	if err == nil || !strings.Contains(err.Error(), "are of PostgreSQL 16, and only PostgreSQL 17, 15 is installed") {
		t.Errorf("a cluster of 16: error %v", err)
	}
}

// As root the package manager is called and announced; an ordinary user gets the exact command.
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
