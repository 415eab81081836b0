package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// simulator is the API as a process of its own.
type simulator struct {
	cmd *exec.Cmd
	url string
}

// simulate starts a simulator of the data and returns when it listens. The flags come last, and so win.
func (s *stand) simulate(ctx context.Context, data dataset, flags ...string) (*simulator, error) {
	args := []string{"simulate", "--profile=unlimited", "--listen=127.0.0.1:0",
		fmt.Sprintf("--events=%d", data.events), fmt.Sprintf("--skew=%g", data.skew)}
	sim := &simulator{cmd: command(ctx, s.fresh, nil, append(args, flags...)...)}
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
		return nil, fmt.Errorf("start the simulator: %w", errors.Join(err, sim.stop(), errors.New(line)))
	}
	sim.url = "http://" + address
	return sim, nil
}

// stop ends the simulator.
func (sim *simulator) stop() error {
	if err := sim.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the simulator: %w", err)
	}
	if err := sim.cmd.Wait(); err != nil {
		return fmt.Errorf("stop the simulator: %w", err)
	}
	return nil
}
