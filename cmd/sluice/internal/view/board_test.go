package view

import (
	"testing"
	"time"
)

// TestThePastOfAFollowHasItsRests: between two rounds nothing comes, which is no slope from one commit to the next. What comes
// after the last commit of a run that is checked is no part of its rate.
func TestThePastOfAFollowHasItsRests(t *testing.T) {
	began := time.Unix(1_769_541_612, 0)
	for phase, want := range map[Phase]int{Waiting: 11, Checking: 1, Ended: 1} {
		b := NewBoard(View{})
		b.Publish(View{Phase: Ingesting, At: began, Stored: 5})
		for n := range 10 {
			b.Publish(View{Phase: phase, At: began.Add(time.Duration(n+1) * time.Second), Stored: 5})
		}
		if v, _ := b.View(); len(v.History) != want {
			t.Errorf("%s: %d points, want %d", phase, len(v.History), want)
		}
	}
}
