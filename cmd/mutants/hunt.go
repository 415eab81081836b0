package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// hunt runs the test of each mutant against the broken code. The code on disk stays as it is: the broken files are laid over it
// with go's -overlay, by way of GOFLAGS so that tests that build the program themselves get the mutant too.
type hunt struct {
	root  string
	jobs  int           // mutants at a time
	limit time.Duration // of one test
	log   func(format string, args ...any)
}

// result is what became of a mutant.
type result struct {
	mutant
	fate
	took time.Duration
}

// all first runs every test against the sound code, where they must pass, and then every mutant.
func (h *hunt) all(ctx context.Context, mutants []mutant) ([]result, error) {
	sound := make(map[string][]string)
	for _, m := range mutants {
		top, _, _ := strings.Cut(m.Test, "/")
		sound[m.pkg] = append(sound[m.pkg], top)
	}
	group, soundCtx := errgroup.WithContext(ctx)
	group.SetLimit(h.jobs)
	for pkg, tests := range sound {
		group.Go(func() error {
			f, err := h.goTest(soundCtx, &mutant{pkg: pkg}, "("+strings.Join(tests, "|")+")", 5*h.limit)
			if err == nil && (f.killedBy != "" || f.broken != "") {
				err = fmt.Errorf("%s fails without a mutant: %s\n%s", pkg, f.verdict(), f.tail(20))
			}
			h.log("%-20s passes without a mutant: %t", pkg, err == nil)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	results := make([]result, len(mutants))
	group, ctx = errgroup.WithContext(ctx)
	group.SetLimit(h.jobs)
	for i := range mutants {
		group.Go(func() (err error) {
			results[i], err = h.one(ctx, mutants[i])
			return err
		})
	}
	return results, group.Wait()
}

// one runs the test of a mutant.
func (h *hunt) one(ctx context.Context, m mutant) (result, error) {
	started := time.Now()
	f, err := h.goTest(ctx, &m, strings.ReplaceAll(m.Test, "/", "$/^"), h.limit)
	r := result{m, f, time.Since(started)}
	if err != nil {
		return r, err
	}
	h.log("%-36s %5.1f s  %s", m.Name, r.took.Seconds(), r.verdict())
	if r.broken != "" {
		h.log("%s", r.tail(10))
	}
	return r, nil
}

// goTest runs tests of a mutant's package. An error means that they could not be run at all.
func (h *hunt) goTest(ctx context.Context, m *mutant, test string, limit time.Duration) (fate, error) {
	dir, err := os.MkdirTemp("", "sluice-mutant-")
	if err != nil {
		return fate{}, err
	}
	defer os.RemoveAll(dir)
	list, err := h.writeOverlay(dir, m.overlay)
	if err != nil {
		return fate{}, err
	}
	// Compiling is fast. A process that ignores its own limit is killed, together with the processes it started.
	ctx, cancel := context.WithTimeout(ctx, limit+5*time.Minute)
	defer cancel()
	args := []string{"test", "-json", "-vet=off", "-count=1", "-timeout", limit.String(), "-run", "^" + test + "$", m.pkg}
	if m.rapid {
		args = append(args, "-rapid.nofailfile") // a failure that was wanted is not kept
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = h.root
	cmd.Env = append(os.Environ(), "GOFLAGS=-overlay="+list+" "+os.Getenv("GOFLAGS"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return fate{}, fmt.Errorf("%s in %s: %w", test, m.pkg, ctx.Err())
	}
	f := readFate(out)
	if err != nil && f.killedBy == "" && f.broken == "" {
		f.broken = fmt.Sprintf("go test ended with %v", err)
	}
	return f, nil
}

// writeOverlay writes the broken files and the list that go's -overlay reads.
func (h *hunt) writeOverlay(dir string, overlay map[string]string) (list string, err error) {
	replace := make(map[string]string)
	for name, text := range overlay {
		broken := filepath.Join(dir, strconv.Itoa(len(replace))+filepath.Ext(name))
		if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(h.root, name)] = broken
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list = filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, text, 0o600)
}

// fate is how a test run ended.
type fate struct {
	killedBy string // the first test that failed; empty if none did
	broken   string // why that proves nothing: it does not compile, or timed out
	output   string
}

func (f *fate) verdict() string {
	switch {
	case f.broken != "":
		return "INVALID: " + f.broken
	case f.killedBy == "":
		return "SURVIVED"
	}
	return f.killedBy
}

// readFate reads the output of go test -json. A test whose goroutine panics ends the process and is not reported as failed: it
// is the one that was still running.
func readFate(out []byte) (f fate) {
	var running []string
	var output strings.Builder
	ran := false
	for line := range bytes.Lines(out) {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(line, &e) != nil {
			e.Output = string(line)
		}
		output.WriteString(e.Output)
		switch {
		case e.Action == "build-fail":
			f.broken = "it does not compile"
		case e.Test == "":
		case e.Action == "run":
			ran, running = true, append(running, e.Test)
		case e.Action == "pass" || e.Action == "skip" || e.Action == "fail":
			running = slices.DeleteFunc(running, func(name string) bool { return name == e.Test })
			if e.Action == "fail" && f.killedBy == "" {
				f.killedBy = e.Test
			}
		}
	}
	f.output = output.String()
	switch {
	case strings.Contains(f.output, "panic: test timed out after"):
		f.killedBy, f.broken = "", "it timed out"
	case f.killedBy == "" && len(running) > 0 && (strings.Contains(f.output, "panic: ") || strings.Contains(f.output, "fatal error: ")):
		f.killedBy = running[0]
	case !ran && f.broken == "":
		f.broken = "no test ran"
	}
	return f
}

// tail returns the last n lines of the output.
func (f *fate) tail(n int) string {
	lines := strings.Split(strings.TrimSpace(f.output), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
