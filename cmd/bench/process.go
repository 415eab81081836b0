package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
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

// command prepares a call of the program under test. Of the environment it gets only what is given, so that no setting of
// the caller's slips in.
func (s *stand) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.program, args...)
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

// simulator is the API as a process of its own.
type simulator struct {
	cmd     *exec.Cmd
	url     string
	started time.Time
}

// simulate starts the simulator and returns when it listens.
func (s *stand) simulate(ctx context.Context) (*simulator, error) {
	sim := &simulator{started: time.Now()}
	sim.cmd = s.command(ctx, nil, "simulate", "--profile=unlimited", "--listen=127.0.0.1:0", fmt.Sprintf("--events=%d", s.events))
	said, err := sim.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := sim.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the simulator: %w", err)
	}
	line, err := bufio.NewReader(said).ReadString('\n') // sluice: simulating … on http://127.0.0.1:4711
	_, address, found := strings.Cut(strings.TrimSpace(line), "http://")
	if !found {
		_, stopErr := sim.stop()
		return nil, fmt.Errorf("start the simulator: %w", errors.Join(err, stopErr, errors.New(line)))
	}
	sim.url = "http://" + address
	return sim, nil
}

// stop ends the simulator and returns what it has used.
func (sim *simulator) stop() (usage, error) {
	if err := sim.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return usage{}, fmt.Errorf("stop the simulator: %w", err)
	}
	if err := sim.cmd.Wait(); err != nil {
		return usage{}, fmt.Errorf("stop the simulator: %w", err)
	}
	return usageOf(sim.cmd.ProcessState, time.Since(sim.started)), nil
}
