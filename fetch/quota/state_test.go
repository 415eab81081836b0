package quota

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestStateKeepsWhatTheServerMayStillCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newTestPacer(t, unknown), time.Now()
		p.Observe(takeCall(t, p, onlyList), Answer{Limit: 10, Remaining: 9, Reset: time.Minute})
		time.Sleep(50 * time.Second)
		p.Observe(takeCall(t, p, onlyList), Answer{Limit: 10, Remaining: 8, Reset: 10 * time.Second})
		time.Sleep(20 * time.Second)

		list, stream := kept(t, p)[0], kept(t, p)[1]
		if list.Name != "list" || list.Limit != (Limit{10, time.Minute}) || !list.NotBefore.IsZero() {
			t.Errorf("list: %+v", list)
		}
		if len(list.Sent) != 1 || !list.Sent[0].Equal(start.Add(50*time.Second)) {
			t.Errorf("sent %v, want only the second: the first was forgotten", list.Sent)
		}
		if stream.Name != "stream" || stream.Limit != (Limit{}) || len(stream.Sent) > 0 {
			t.Errorf("stream: %+v, want nothing", stream)
		}
	})
}

// A limit that the operator gave may have been meant for one run; what an earlier run has learned must survive it.
func TestStateDoesNotKeepWhatItWasTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		learned := Limit{50, time.Minute}
		gentle := startAfter(t, both(Limit{}, Limit{5, time.Minute}), State{Name: "stream", Limit: learned})
		if s := gentle.Status()[1]; s.Limit.N != 5 || s.Known != Configured {
			t.Errorf("%s (%s), want what was told", s.Limit, s.Known)
		}
		if s := kept(t, gentle)[1]; s.Limit != learned {
			t.Errorf("%s is kept, want %s", s.Limit, learned)
		}
	})
}

func TestRestoreKeepsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := startAfter(t, unknown, State{Name: "stream", NotBefore: start.Add(40 * time.Second)})
		if c := takeCall(t, p, onlyStream); c.At.Sub(start) != 40*time.Second {
			t.Errorf("call after %v, want 40s", c.At.Sub(start))
		}
	})
}

// A clock that was set back makes requests of the future; impossible limits come from a newer version.
func TestRestoreSurvivesNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := startAfter(t, unknown, State{Name: "list", Limit: Limit{1, time.Nanosecond}},
			State{Name: "stream", Limit: Limit{1, time.Minute}, Sent: []time.Time{start.Add(time.Hour)}})
		if s := p.Status()[0]; s.Known != Unknown {
			t.Errorf("list: %s (%s), want unknown", s.Limit, s.Known)
		}
		if c := takeCall(t, p, onlyStream); c.At.Sub(start) != slot {
			t.Errorf("call after %v, want %v", c.At.Sub(start), slot)
		}
		if sent := kept(t, p)[1].Sent; len(sent) != 1 {
			t.Errorf("%v are kept, want one: that of the future is over", sent)
		}
	})
}
