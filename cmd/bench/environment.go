package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Machine is what was measured on. It names no host.
type Machine struct {
	Cores      int    `json:"cores"`
	CPU        string `json:"cpu,omitempty"`
	System     string `json:"system"`
	Go         string `json:"go"`
	PostgreSQL string `json:"postgresql"`
	Revision   string `json:"revision,omitempty"`
	Date       string `json:"date"`
}

func (s *stand) describe(ctx context.Context) Machine {
	return Machine{
		Cores: runtime.NumCPU(), CPU: cpuModel(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		PostgreSQL: s.server.Status(ctx).Version, Revision: s.revision(ctx), Date: time.Now().UTC().Format(time.DateOnly),
	}
}

// revision is that of the checkout; "" outside of git.
func (s *stand) revision(ctx context.Context) string {
	cmd := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty")
	cmd.Dir = s.root
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// cpuModel is the name that Linux has for the processor; "" elsewhere.
func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// same tells whether seconds of both compare.
func (m Machine) same(n Machine) bool {
	return m.Cores == n.Cores && m.CPU == n.CPU && m.System == n.System
}

func (m Machine) String() string {
	cpu := m.CPU
	if cpu != "" {
		cpu = " (" + cpu + ")"
	}
	return fmt.Sprintf("%d cores%s, %s, %s, PostgreSQL %s with fsync and the settings of the private server; %s, %s",
		m.Cores, cpu, m.System, m.Go, m.PostgreSQL, m.Date, m.Revision)
}
