package main

import (
	"testing"
	"time"
)

func TestParseStatReadsANameWithBrackets(t *testing.T) {
	p, err := parseStat([]byte("4711 (a) S 1 (b)) R 42 1 1 0 -1 0 0 0 0 0 150 50 7 3 20 0 1 0"))
	if err != nil {
		t.Fatal(err)
	}
	want := processStat{pid: 4711, parent: 42, own: 2 * time.Second, buried: 100 * time.Millisecond}
	if p != want {
		t.Errorf("%+v, not %+v", p, want)
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
		t.Errorf("%v, not %v", busy, 165*tick)
	}
	for _, text := range []string{"", "cpu 1 2", "intr 1 2 3 4 5 6 7 8 9 10"} {
		if busy := parseBusy([]byte(text)); busy != 0 {
			t.Errorf("%q: %v", text, busy)
		}
	}
}
