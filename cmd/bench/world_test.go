package main

import (
	"os/exec"
	"testing"
)

// burn is a shell that counts, which takes a while.
const burn = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`

func TestPeakIsThatOfTheProcess(t *testing.T) {
	cmd := exec.Command("sh", "-c", burn)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if peak := peakOf(cmd.ProcessState); peak < 100<<10 || peak > 1<<30 {
		t.Errorf("%d bytes", peak)
	}
}
