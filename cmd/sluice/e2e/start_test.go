package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// start is one call of run-ingestion.sh, in a copy of the checkout whose path has a space.
type start struct {
	tools []string          // of docker, go
	env   map[string]string // beside that of the fakes, whose exit codes are 0 by default
	args  []string

	checkout, stdout, stderr string
	calls                    []string
	exit                     int
}

func (s *start) run(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	s.checkout = filepath.Join(dir, "a checkout")
	script := filepath.Join(s.checkout, "run-ingestion.sh")
	write(t, script, read(t, "../../../run-ingestion.sh"))
	calls := filepath.Join(dir, "calls")
	write(t, calls, "")

	cmd := exec.Command("sh", append([]string{script}, s.args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + s.path(t, dir), "CALLS=" + calls}
	for _, name := range []string{"ENGINE", "COMPOSE", "UP", "BUILD", "RUN"} {
		cmd.Env = append(cmd.Env, name+"=0")
	}
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	s.stdout, s.stderr, s.exit = output(t, cmd)
	s.calls = strings.FieldsFunc(strings.ReplaceAll(read(t, calls), s.checkout, "CHECKOUT"), func(r rune) bool { return r == '\n' })
}

// path is a directory with the fakes asked for and nothing else but the few tools that a POSIX system has.
func (s *start) path(t *testing.T, dir string) string {
	t.Helper()
	bin := filepath.Join(dir, "bin")
	for _, tool := range s.tools {
		write(t, filepath.Join(bin, tool), read(t, "testdata/start/fake.sh"))
	}
	for _, tool := range []string{"sh", "dirname", "readlink", "mkdir", "cp"} {
		real, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.MkdirAll(bin, 0o755), os.Symlink(real, filepath.Join(bin, tool))); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

const (
	askEngine  = "docker [version]"
	askCompose = "docker [compose] [version]"
	build      = "go [build] [-o] [CHECKOUT/.sluice/bin/sluice] [./cmd/sluice]"
)

// shown is the environment of a run whose page is published.
func shown(env string) string {
	return strings.Replace(env, " SLUICE_STREAM_LIMIT", " SLUICE_PAGE_URL=http://127.0.0.1:55480/ SLUICE_STREAM_LIMIT", 1)
}

func TestRunIngestion(t *testing.T) {
	t.Parallel()
	const demo = " API_BASE_URL= SLUICE_DATABASE=sluice_demo SLUICE_LIST_LIMIT=10/6s SLUICE_STREAM_LIMIT=50/6s TARGET_API_KEY=demo"
	rest := strings.TrimPrefix(demo, " API_BASE_URL=")
	named := strings.Replace(rest, " SLUICE_LIST", " SLUICE_DEMO_PROFILE=demo SLUICE_LIST", 1)
	for name, c := range map[string]struct {
		start
		want []string
		exit int
		says string // on stderr
	}{
		"an engine and nothing set: the demo, in containers": {
			start: start{tools: []string{"docker", "go"}, args: []string{"--shards=8"}},
			want: []string{askEngine, askCompose,
				"docker [compose] [up] [-d] [--wait] [--build] [postgres] [simulator]" + demo,
				"docker [compose] [run] [--rm] [--publish] [127.0.0.1:55480:8080] [--build] [--label] [sluice.ingests] [--use-aliases] [sluice] [run] [--shards=8]" + shown(demo)},
			says: "API_BASE_URL is not set: ingesting from the simulator",
		},
		"the port of the page is another run's": {
			start: start{tools: []string{"docker"}, env: map[string]string{"TAKEN": "8f14e45fceea", "DATABASE_URL": "postgres://db/x", "API_BASE_URL": "http://api"}},
			want: []string{askEngine + " API_BASE_URL=http://api DATABASE_URL=postgres://db/x", askCompose + " API_BASE_URL=http://api DATABASE_URL=postgres://db/x",
				"docker [compose] [run] [--rm] [--build] [--label] [sluice.ingests] [--no-deps] [--use-aliases] [sluice] [run] API_BASE_URL=http://api DATABASE_URL=postgres://db/x SLUICE_DATABASE=sluice SLUICE_PAGE_URL=http://sluice:8080/"},
			says: "127.0.0.1:55480 belongs to another container",
		},
		"another port for the page of a follow": {
			start: start{tools: []string{"docker"}, args: []string{"follow"}, env: map[string]string{"SLUICE_PAGE_PORT": "9000", "DATABASE_URL": "postgres://db/x", "API_BASE_URL": "http://api"}},
			want: []string{askEngine + " API_BASE_URL=http://api DATABASE_URL=postgres://db/x", askCompose + " API_BASE_URL=http://api DATABASE_URL=postgres://db/x",
				"docker [compose] [run] [--rm] [--publish] [127.0.0.1:9000:8080] [--build] [--label] [sluice.ingests] [--no-deps] [--use-aliases] [sluice] [follow] API_BASE_URL=http://api DATABASE_URL=postgres://db/x SLUICE_DATABASE=sluice SLUICE_PAGE_URL=http://127.0.0.1:9000/"},
		},
		"a command that looks starts and builds nothing": {
			start: start{tools: []string{"docker"}, args: []string{"status", "--json"}},
			want:  []string{askEngine, askCompose, "docker [compose] [run] [--rm] [--no-deps] [sluice] [status] [--json]" + demo},
		},
		"a command that looks, and there is no server": {
			start: start{tools: []string{"docker"}, args: []string{"verify"}, env: map[string]string{"RUNNING": ""}},
			want:  []string{askEngine, askCompose},
			exit:  3,
			says:  "PostgreSQL is not running in its container: ./run-ingestion.sh starts it",
		},
		"a command that looks at a database of one's own": {
			start: start{tools: []string{"docker"}, args: []string{"report"}, env: map[string]string{"RUNNING": "", "DATABASE_URL": "postgres://u:p@127.0.0.1/x", "API_BASE_URL": "http://api"}},
			want: []string{askEngine + " API_BASE_URL=http://api DATABASE_URL=postgres://u:p@127.0.0.1/x", askCompose + " API_BASE_URL=http://api DATABASE_URL=postgres://u:p@127.0.0.1/x",
				"docker [compose] [run] [--rm] [--no-deps] [sluice] [report] API_BASE_URL=http://api DATABASE_URL=postgres://u:p@host.docker.internal/x SLUICE_DATABASE=sluice"},
		},
		"a second run leaves the services of the first as they are": {
			start: start{tools: []string{"docker"}, args: []string{"sync"}, env: map[string]string{"BUSY": "c4ca4238a0b9", "SERVES": "simulate --listen=0.0.0.0:8080 --profile=demo --events=3000000 --seed=1"}},
			want: []string{askEngine, askCompose,
				"docker [compose] [up] [-d] [--wait] [--no-recreate] [postgres] [simulator]" + demo,
				"docker [compose] [run] [--rm] [--publish] [127.0.0.1:55480:8080] [--build] [--label] [sluice.ingests] [--use-aliases] [sluice] [sync]" + shown(demo)},
		},
		"a second run over other data of the simulator": {
			start: start{tools: []string{"docker"}, env: map[string]string{"BUSY": "c4ca4238a0b9", "SERVES": "simulate --listen=0.0.0.0:8080 --profile=demo --events=600000 --seed=1"}},
			want:  []string{askEngine, askCompose},
			exit:  3,
			says:  "another run is reading the simulator, which serves other data",
		},
		"another command, built here": {
			start: start{tools: []string{"go"}, args: []string{"verify", "--repair"}},
			want:  []string{build, "sluice [verify] [--repair]"},
		},
		"what the simulator serves is decided when it starts": {
			start: start{tools: []string{"docker"}, args: []string{"--demo-events=5", "--demo-profile=challenge"}},
			want: []string{askEngine + " SLUICE_DEMO_EVENTS=5 SLUICE_DEMO_PROFILE=challenge", askCompose + " SLUICE_DEMO_EVENTS=5 SLUICE_DEMO_PROFILE=challenge",
				"docker [compose] [up] [-d] [--wait] [--build] [postgres] [simulator] API_BASE_URL= SLUICE_DATABASE=sluice_demo SLUICE_DEMO_EVENTS=5 SLUICE_DEMO_PROFILE=challenge TARGET_API_KEY=demo",
				"docker [compose] [run] [--rm] [--publish] [127.0.0.1:55480:8080] [--build] [--label] [sluice.ingests] [--use-aliases] [sluice] [run] [--demo-events=5] [--demo-profile=challenge] API_BASE_URL= SLUICE_DATABASE=sluice_demo SLUICE_DEMO_EVENTS=5 SLUICE_DEMO_PROFILE=challenge SLUICE_PAGE_URL=http://127.0.0.1:55480/ TARGET_API_KEY=demo"},
		},
		"the demo at the true limits, which are not told": {
			start: start{tools: []string{"docker"}, env: map[string]string{"SLUICE_DEMO_PROFILE": "challenge"}},
			want: []string{askEngine + " SLUICE_DEMO_PROFILE=challenge", askCompose + " SLUICE_DEMO_PROFILE=challenge",
				"docker [compose] [up] [-d] [--wait] [--build] [postgres] [simulator] API_BASE_URL= SLUICE_DATABASE=sluice_demo SLUICE_DEMO_PROFILE=challenge TARGET_API_KEY=demo",
				"docker [compose] [run] [--rm] [--publish] [127.0.0.1:55480:8080] [--build] [--label] [sluice.ingests] [--use-aliases] [sluice] [run] API_BASE_URL= SLUICE_DATABASE=sluice_demo SLUICE_DEMO_PROFILE=challenge SLUICE_PAGE_URL=http://127.0.0.1:55480/ TARGET_API_KEY=demo"},
		},
		"a real API, flags with spaces and quotes, an exit code": {
			start: start{tools: []string{"docker"}, args: []string{"--job", "a b", "--from=it's", ""},
				env: map[string]string{"API_BASE_URL": "https://api.example.com/api/v1", "TARGET_API_KEY": "k", "RUN": "4"}},
			want: []string{askEngine + " API_BASE_URL=https://api.example.com/api/v1 TARGET_API_KEY=k",
				askCompose + " API_BASE_URL=https://api.example.com/api/v1 TARGET_API_KEY=k",
				"docker [compose] [up] [-d] [--wait] [--build] [postgres] API_BASE_URL=https://api.example.com/api/v1 SLUICE_DATABASE=sluice TARGET_API_KEY=k",
				"docker [compose] [run] [--rm] [--publish] [127.0.0.1:55480:8080] [--build] [--label] [sluice.ingests] [--use-aliases] [sluice] [run] [--job] [a b] [--from=it's] [] API_BASE_URL=https://api.example.com/api/v1 SLUICE_DATABASE=sluice SLUICE_PAGE_URL=http://127.0.0.1:55480/ TARGET_API_KEY=k"},
			exit: 4,
			says: "PostgreSQL 16 in a container, on 127.0.0.1:55432",
		},
		"the services do not come up: no run": {
			start: start{tools: []string{"docker"}, env: map[string]string{"UP": "17"}},
			want:  []string{askEngine, askCompose, "docker [compose] [up] [-d] [--wait] [--build] [postgres] [simulator]" + demo},
			exit:  3,
			says:  "docker compose could not start the services",
		},
		"a client without an engine: built here, flags and exit code handed on": {
			start: start{tools: []string{"docker", "go"}, args: []string{"--shards=3", "a b"}, env: map[string]string{"ENGINE": "1", "RUN": "5"}},
			want:  []string{askEngine, build, "sluice [run] [--shards=3] [a b]"},
			exit:  5,
		},
		"an engine without the compose plugin": {
			start: start{tools: []string{"docker", "go"}, env: map[string]string{"COMPOSE": "1"}},
			want:  []string{askEngine, askCompose, build, "sluice [run]"},
		},
		"a database of one's own: docker is not even asked": {
			start: start{tools: []string{"docker", "go"}, env: map[string]string{"DATABASE_URL": "postgres://db/x"}},
			want:  []string{build + " DATABASE_URL=postgres://db/x", "sluice [run] DATABASE_URL=postgres://db/x"},
		},
		"a database of one's own, and no go: in a container, without the server": {
			start: start{tools: []string{"docker"}, env: map[string]string{"DATABASE_URL": "postgres://u:p@localhost:5432/x?a=b", "API_BASE_URL": "http://api"}},
			want: []string{askEngine + " API_BASE_URL=http://api DATABASE_URL=postgres://u:p@localhost:5432/x?a=b",
				askCompose + " API_BASE_URL=http://api DATABASE_URL=postgres://u:p@localhost:5432/x?a=b",
				"docker [compose] [run] [--rm] [--publish] [127.0.0.1:55480:8080] [--build] [--label] [sluice.ingests] [--no-deps] [--use-aliases] [sluice] [run] API_BASE_URL=http://api DATABASE_URL=postgres://u:p@host.docker.internal:5432/x?a=b SLUICE_DATABASE=sluice SLUICE_PAGE_URL=http://127.0.0.1:55480/"},
		},
		"--docker: also with a database of one's own; the flag is not handed on": {
			start: start{tools: []string{"docker", "go"}, args: []string{"--docker", "--shards=2"}, env: map[string]string{"DATABASE_URL": "postgres://db/x", "SLUICE_DEMO_PROFILE": "demo"}},
			want: []string{askEngine + " DATABASE_URL=postgres://db/x SLUICE_DEMO_PROFILE=demo", askCompose + " DATABASE_URL=postgres://db/x SLUICE_DEMO_PROFILE=demo",
				"docker [compose] [up] [-d] [--wait] [--build] [simulator] API_BASE_URL= DATABASE_URL=postgres://db/x" + named,
				"docker [compose] [run] [--rm] [--publish] [127.0.0.1:55480:8080] [--build] [--label] [sluice.ingests] [--no-deps] [--use-aliases] [sluice] [run] [--shards=2] API_BASE_URL= DATABASE_URL=postgres://db/x" + shown(named)},
		},
		"a database of one's own and no API: nothing is invented there": {
			start: start{tools: []string{"docker"}, args: []string{"sync"}, env: map[string]string{"DATABASE_URL": "postgres://db/x"}},
			want:  []string{askEngine + " DATABASE_URL=postgres://db/x", askCompose + " DATABASE_URL=postgres://db/x"},
			exit:  2,
			says:  "set API_BASE_URL and TARGET_API_KEY",
		},
		"--docker without an engine": {
			start: start{tools: []string{"docker", "go"}, args: []string{"--docker"}, env: map[string]string{"ENGINE": "1"}},
			want:  []string{askEngine},
			exit:  3,
			says:  "no Docker engine with the compose plugin answers",
		},
		"--no-docker: not asked; the flag is not handed on": {
			start: start{tools: []string{"docker", "go"}, args: []string{"--shards=2", "--no-docker"}},
			want:  []string{build, "sluice [run] [--shards=2]"},
		},
		"neither docker nor go": {
			exit: 3,
			says: "install Docker (https://docs.docker.com/get-docker) or Go 1.26 (https://go.dev/dl)",
		},
		"it does not build": {
			start: start{tools: []string{"go"}, env: map[string]string{"BUILD": "2"}},
			want:  []string{build},
			exit:  1,
			says:  "could not be built",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
			if !slices.Equal(c.calls, c.want) {
				t.Errorf("calls\n  %s\nwant\n  %s", strings.Join(c.calls, "\n  "), strings.Join(c.want, "\n  "))
			}
			if c.start.exit != c.exit || !strings.Contains(c.stderr, c.says) {
				t.Errorf("exit %d, want %d; stderr %q, want %q in it", c.start.exit, c.exit, c.stderr, c.says)
			}
		})
	}
}

func TestRunIngestionKeepsStdoutForTheRun(t *testing.T) {
	t.Parallel()
	s := start{tools: []string{"docker"}}
	s.run(t)
	if s.stdout != "run-says\n" {
		t.Errorf("stdout %q", s.stdout)
	}
	if want := s.checkout + "\n"; !strings.Contains(s.stderr, want) {
		t.Errorf("compose was not called in the checkout: %q", s.stderr)
	}
}

func TestRunIngestionRewritesLoopback(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{ // "" for: as it is
		"http://localhost:3000":               "http://host.docker.internal:3000",
		"http://localhost":                    "http://host.docker.internal",
		"https://127.0.0.1:8443/api/v1":       "https://host.docker.internal:8443/api/v1",
		"http://127.8.9.1/api/v1?a=b@c":       "http://host.docker.internal/api/v1?a=b@c",
		"http://[::1]:3000/x":                 "http://host.docker.internal:3000/x",
		"http://0.0.0.0:3000":                 "http://host.docker.internal:3000",
		"localhost:3000":                      "host.docker.internal:3000",
		"http://user:pw@localhost:3000/":      "http://user:pw@host.docker.internal:3000/",
		"http://localhost.example.com:3000":   "",
		"http://api.example.com/localhost":    "",
		"http://api.example.com?at=127.0.0.1": "",
		"http://[2001:db8::1]:80":             "",
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			s := start{tools: []string{"docker"}, env: map[string]string{"API_BASE_URL": url}}
			s.run(t)
			last := s.calls[len(s.calls)-1]
			if got := " API_BASE_URL=" + cmp.Or(want, url) + " "; !strings.Contains(last, got) {
				t.Errorf("call %q, want %q in it", last, got)
			}
			if said := strings.Contains(s.stderr, "the API is on this machine"); said != (want != "") {
				t.Errorf("said so: %v; stderr %q", said, s.stderr)
			}
		})
	}
}

func TestRunIngestionThroughALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "far", "run-ingestion.sh"), read(t, "../../../run-ingestion.sh"))
	if err := os.Symlink(filepath.Join("far", "run-ingestion.sh"), filepath.Join(dir, "ingest")); err != nil {
		t.Fatal(err)
	}
	calls := filepath.Join(dir, "calls")
	cmd := exec.Command(filepath.Join(dir, "ingest"))
	cmd.Env = []string{"PATH=" + (&start{tools: []string{"go"}}).path(t, dir), "CALLS=" + calls, "BUILD=0", "RUN=0"}
	if _, stderr, exit := output(t, cmd); exit != 0 {
		t.Fatalf("exit %d: %s", exit, stderr)
	}
	if got, want := read(t, calls), "[-o] ["+filepath.Join(dir, "far", ".sluice/bin/sluice")+"]"; !strings.Contains(got, want) {
		t.Errorf("calls %q, want %q in it", got, want)
	}
}

func output(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, exit int) {
	t.Helper()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// write makes an executable file, and its directory. No process is forked meanwhile: it would hold the file open for a moment,
// and a file open for writing cannot be executed (ETXTBSY).
func write(t *testing.T, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
		t.Fatal(err)
	}
}

// What the script tells the program of the demo's limits is what the simulator keeps.
func TestRunIngestionKnowsTheDemosLimits(t *testing.T) {
	t.Parallel()
	config, err := apisim.Profile(apisim.Demo)
	if err != nil {
		t.Fatal(err)
	}
	s := start{tools: []string{"docker"}}
	s.run(t)
	for name, limit := range map[string]apisim.Limit{"SLUICE_LIST_LIMIT": config.List, "SLUICE_STREAM_LIMIT": config.Feed} {
		if want := fmt.Sprintf(" %s=%d/%s ", name, limit.Requests, limit.Window); !strings.Contains(s.calls[len(s.calls)-1], want) {
			t.Errorf("call %q without %q", s.calls[len(s.calls)-1], want)
		}
	}
}

// TestRunIngestionStatusCorruptsNoRun: `./run-ingestion.sh status` rebuilt and recreated the simulator in the middle of a run, which
// then read another data set. Of all commands only those that ingest may start, build or recreate anything.
func TestRunIngestionStatusCorruptsNoRun(t *testing.T) {
	t.Parallel()
	looks := 0
	for _, command := range (&cli.Program{}).Root().Commands() {
		s := start{tools: []string{"docker"}, args: []string{command.Name()}}
		s.run(t)
		calls := strings.Join(s.calls, "\n")
		changes := strings.Contains(calls, "[up]") || strings.Contains(calls, "build") || !strings.Contains(calls, "[--no-deps]")
		if ingests := command.GroupID == "ingest" && command.Name() != "plan"; ingests != changes {
			t.Errorf("%s: the calls start or build something: %v\n%s", command.Name(), changes, calls)
		} else if !ingests {
			looks++
		}
	}
	if looks < 8 {
		t.Errorf("only %d commands that look", looks)
	}
}
