package main

import (
	"os/exec"
	"strings"
	"testing"
)

// burn is a shell that counts, which takes a while.
const burn = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`

func TestMeasuredCountsWhatAProcessHasUsed(t *testing.T) {
	used, err := measured(exec.Command("sh", "-c", burn))
	if err != nil {
		t.Fatal(err)
	}
	if used.cpu <= 0 || used.wall < used.cpu/2 || used.peak < 100<<10 || used.peak > 1<<30 {
		t.Errorf("%+v", used)
	}
}

func TestMeasuredTellsWhatAFailedProcessSaid(t *testing.T) {
	_, err := measured(exec.Command("sh", "-c", "echo why >&2; exit 4"))
	if err == nil || !strings.Contains(err.Error(), "why") || !strings.Contains(err.Error(), "exit status 4") {
		t.Error(err)
	}
}
