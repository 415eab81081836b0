package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestFamilyCPUCountsTheLivingAndTheReaped(t *testing.T) {
	if machineCPU() == 0 {
		t.Skip("there is no /proc")
	}
	before := familyCPU(os.Getpid())
	reaped := exec.Command("sh", "-c", burn)
	if err := reaped.Run(); err != nil {
		t.Fatal(err)
	}
	after := familyCPU(os.Getpid())
	used := reaped.ProcessState.UserTime() + reaped.ProcessState.SystemTime()
	if grown := after - before; grown < used-2*tick {
		t.Errorf("it has grown by %v, the child has used %v", grown, used)
	}
	if used < 3*tick {
		t.Errorf("the child has used only %v, which proves nothing", used)
	}
}

func TestParseStatReadsANameWithBrackets(t *testing.T) {
	p, err := parseStat([]byte("4711 (a) S 1 (b)) R 42 1 1 0 -1 0 0 0 0 0 150 50 7 3 20 0 1 0"))
	if err != nil {
		t.Fatal(err)
	}
	want := processStat{pid: 4711, parent: 42, own: 2 * time.Second, reaped: 100 * time.Millisecond}
	if p != want {
		t.Errorf("got %+v, want %+v", p, want)
	}
	for _, text := range []string{"", "4711", "4711 (a) S 1", "x (a) R 42 1 1 0 -1 0 0 0 0 0 150 50 7 3"} {
		if p, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, p)
		}
	}
}

func TestParseBusyLeavesIdleOut(t *testing.T) {
	text := []byte("cpu  100 20 30 99999 88888 4 5 6 7 8\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
	if busy := parseBusy(text); busy != 165*tick {
		t.Errorf("got %v, want %v", busy, 165*tick)
	}
	for _, text := range []string{"", "cpu 1 2", "intr 1 2 3 4 5 6 7 8 9 10"} {
		if busy := parseBusy([]byte(text)); busy != 0 {
			t.Errorf("%q: %v", text, busy)
		}
	}
}
