package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// burn is a shell that counts, which takes a while.
const burn = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`

func TestPeakAndCPUAreThoseOfTheProcess(t *testing.T) {
	if machineCPU() == 0 {
		t.Skip("there is no /proc")
	}
	before, machine := familyCPU(os.Getpid()), machineCPU()
	cmd := exec.Command("sh", "-c", burn)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if used < 30*time.Millisecond {
		t.Fatalf("the child has used only %v, which proves nothing", used)
	}
	for of, grown := range map[string]time.Duration{"this process": familyCPU(os.Getpid()) - before, "the machine": machineCPU() - machine} {
		if grown < used-20*time.Millisecond {
			t.Errorf("the CPU of %s has grown by %v, the child has used %v", of, grown, used)
		}
	}
	if peak := peakOf(cmd.ProcessState); peak < 100<<10 || peak > 1<<30 {
		t.Errorf("%d bytes", peak)
	}
}
