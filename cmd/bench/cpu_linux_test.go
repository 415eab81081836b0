package main

import (
	"os"
	"os/exec"
	"testing"
)

func TestFamilyCPUCountsTheLivingAndTheBuried(t *testing.T) {
	before := familyCPU(os.Getpid())
	buried := exec.Command("sh", "-c", burn)
	if err := buried.Run(); err != nil {
		t.Fatal(err)
	}
	after := familyCPU(os.Getpid())
	used := buried.ProcessState.UserTime() + buried.ProcessState.SystemTime()
	if grown := after - before; grown < used-2*tick {
		t.Errorf("it has grown by %v, the child has used %v", grown, used)
	}
	if used < 3*tick {
		t.Errorf("the child has used only %v, which proves nothing", used)
	}
}
