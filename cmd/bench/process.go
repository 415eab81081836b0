package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// usage is what a process has used, from its start to its end.
type usage struct {
	wall, cpu time.Duration
	peak      int64 // bytes of memory that were resident at most
}

// usageOf reads what the kernel counted. The peak begins with that of the process that started it, which is therefore to stay
// small: the bench itself holds no rows.
func usageOf(state *os.ProcessState, wall time.Duration) usage {
	u := usage{wall: wall, cpu: state.UserTime() + state.SystemTime()}
	if counted, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.peak = int64(counted.Maxrss) * peakUnit
	}
	return u
}

// peakUnit: Linux and the BSDs count in KiB, macOS in bytes.
var peakUnit = map[bool]int64{true: 1, false: 1024}[runtime.GOOS == "darwin"]

// command prepares a call of a program. Of the environment it gets only what is given, so that no setting of the caller's
// slips in.
func command(ctx context.Context, program string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	return cmd
}

// measured runs a process to its end.
func measured(cmd *exec.Cmd) (usage, error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	started := time.Now()
	err := cmd.Run()
	wall := time.Since(started)
	if err != nil {
		return usage{}, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, tail(said.String(), 12))
	}
	return usageOf(cmd.ProcessState, wall), nil
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
