package page

import (
	"fmt"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// TestTheLagIsASaw: the lag grows with the clock and falls at the end of each round.
func TestTheLagIsASaw(t *testing.T) {
	v := view.View{At: noon, Phase: view.Ingesting, Rounds: rounds(4)}
	var got []float64
	for _, l := range v.Lags() {
		got = append(got, l.Seconds)
	}
	want := []float64{10, 70, 10, 70, 10, 70}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	c := lagOf(&v)
	if c.Says() != "How far the table is behind, over 3m 00s: 1m 10s now, peak 1m 10s" || c.Ticks[len(c.Ticks)-1].Label != "75 s" {
		t.Errorf("%q, ticks %v", c.Says(), c.Ticks)
	}
	if v.Phase = view.Ended; len(v.Lags()) != 5 {
		t.Error("the lag of a run that has ended goes on")
	}
}

// TestScale: the top of an axis is a round number, not below the highest value and not far above it.
func TestScale(t *testing.T) {
	for highest, want := range map[float64]string{
		0: "[0 0.25 0.5 0.75 1]", 3: "[0 1 2 3]", 8166: "[0 2,500 5,000 7,500 10k]", 100: "[0 25 50 75 100]", 104: "[0 25 50 75 100 125]",
		2_100_000: "[0 500k 1M 1.5M 2M 2.5M]", 12_345: "[0 5,000 10k 15k]",
	} {
		var c chart
		top := c.scale(highest, "")
		var labels []string
		for _, tick := range c.Ticks {
			labels = append(labels, tick.Label)
		}
		if got := fmt.Sprint(labels); got != want || top < highest {
			t.Errorf("up to %v: %s, want %s, top %v", highest, got, want, top)
		}
	}
}

// TestEachQuotaHasALineOfItsOwn: they differ in their dashes, however many there are.
func TestEachQuotaHasALineOfItsOwn(t *testing.T) {
	v := view.View{Quotas: []view.Quota{{Endpoint: "a"}, {Endpoint: "b"}, {Endpoint: "c"}}}
	for n := range 3 {
		v.History = append(v.History, view.Point{At: noon.Add(time.Duration(n) * time.Second), Recent: []int{1, 2, 3}, Allowed: []int{9, 9, 9}})
	}
	gaps := map[int]bool{}
	for _, l := range quotasOf(&v).Lines {
		gaps[l.Gap] = true
	}
	if len(gaps) != 3 {
		t.Errorf("the gaps are %v", gaps)
	}
}
