package view

import (
	"testing"
	"time"
)

// TestThePastOfAFollowHasItsRests: the pause between two rounds is drawn flat, not as a slope from one commit to the next. The time after
// the last commit of a run that is being checked is not part of its rate.
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
