package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// fate is how a check ended.
type fate struct {
	Failed string // the first test that failed; empty: none did
	Broken string // why that says nothing: it does not compile, or ran out of time
	Ran    int    // tests that ran
	output string // the end of what was printed
}

// goTest runs a check in the tree at dir. An error means that it could not be run at all.
func goTest(ctx context.Context, dir string, c check, limit time.Duration) (fate, error) {
	// What compiles is fast; a process that ignores its own limit is ended from outside, together with what it started.
	ctx, cancel := context.WithTimeout(ctx, limit+5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-vet=off", "-count=1", "-timeout", limit.String(), "-run", c.Run, c.Package)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return fate{}, fmt.Errorf("%s: %w", c, ctx.Err())
	}
	f := readFate(out)
	if err != nil && f.Failed == "" && f.Broken == "" {
		f.Broken = fmt.Sprintf("go test ended with %v", err)
	}
	return f, nil
}

// testEvent is a line of go test -json.
type testEvent struct {
	Action, Test, Output string
}

// readFate reads the output of go test -json. A test whose goroutine panics ends the process and is not reported as failed:
// it is the one that was still running.
func readFate(out []byte) (f fate) {
	var running []string
	var text strings.Builder
	for line := range bytes.Lines(out) {
		var e testEvent
		if json.Unmarshal(line, &e) != nil {
			text.Write(line)
			continue
		}
		text.WriteString(e.Output)
		switch {
		case e.Action == "build-fail":
			f.Broken = "it does not compile"
		case e.Test != "" && e.Action == "run":
			f.Ran++
			running = append(running, e.Test)
		case e.Test != "" && (e.Action == "pass" || e.Action == "skip" || e.Action == "fail"):
			running = slices.DeleteFunc(running, func(name string) bool { return name == e.Test })
			if e.Action == "fail" && f.Failed == "" {
				f.Failed = e.Test
			}
		}
	}
	f.output = text.String()
	f.judge(running)
	return f
}

// judge looks for the ends that go test does not report as the failure of a test.
func (f *fate) judge(running []string) {
	switch {
	case strings.Contains(f.output, "panic: test timed out after"):
		f.Failed, f.Broken = "", "it ran out of time"
	case f.Failed == "" && len(running) > 0 && (strings.Contains(f.output, "panic: ") || strings.Contains(f.output, "fatal error: ")):
		f.Failed = running[0]
	case f.Ran == 0 && f.Broken == "":
		f.Broken = "no test ran"
	}
}

// tail returns the last lines of what was printed.
func (f *fate) tail(n int) string {
	lines := strings.Split(strings.TrimSpace(f.output), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
