package main

import (
	"testing"
	"time"
)

// followed is a run that is looked at every 10 ms: nothing, then half speed, then 1,000 events each time.
func followed(killed int64, nothing, half, full int) []progress {
	var all []progress
	for i := range nothing + half + full {
		switch {
		case i >= nothing+half:
			killed += 1000
		case i >= nothing:
			killed += 500
		}
		all = append(all, progress{time.Duration(i+1) * 10 * time.Millisecond, killed})
	}
	return all
}

func TestResumeFindsTheFirstCommitAndFullSpeed(t *testing.T) {
	r, err := readResume([]progress{{time.Second, 90_000}}, followed(100_000, 50, 20, 800))
	if err != nil {
		t.Fatal(err)
	}
	if r.killedAt != 100_000 || r.commit != 510*time.Millisecond {
		t.Errorf("%+v", r)
	}
	// A stretch is a second, 100 samples. Full is when it brings 90,000: it may begin with 20 half ones.
	if r.speed != 510*time.Millisecond {
		t.Errorf("full speed after %s", r.speed)
	}
	slow, err := readResume([]progress{{time.Second, 90_000}}, followed(100_000, 50, 400, 1200))
	if err != nil || slow.speed < 4200*time.Millisecond || slow.speed > 4500*time.Millisecond {
		t.Errorf("with four seconds at half speed, full speed after %s, %v", slow.speed, err)
	}
}

func TestResumeOfARunThatWasOverIsAnError(t *testing.T) {
	first := []progress{{time.Second, 100_000}}
	for name, second := range map[string][]progress{"nothing seen": nil, "nothing new": followed(100_000, 5, 0, 0)} {
		if r, err := readResume(first, second); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
