package main

import "testing"

// One pass met a busy machine: neither its value nor its ratio is in the table.
func TestAFigureOfSeveralPassesIsTheirMedian(t *testing.T) {
	var all []Figure
	for _, pass := range [][2]float64{{300, 0.8}, {90, 0.5}, {310, 0.9}} {
		speed := Sample{pass[0]}.figure("speed", thousandRows).beside(theFloor, Sample{pass[1]}).atLeast(0.75).at(machinePanel, "speed", 8)
		all = append(all, speed, Sample{pass[0] / 100}.figure("sluice", microsARow))
	}
	figures := medians(all)
	if len(figures) != 2 || figures[0].Name != "speed" || figures[1].Name != "sluice" {
		t.Fatalf("%+v", figures)
	}
	near(t, "value", figures[0].Value, 300)
	near(t, "ratio", figures[0].Ratio, 0.8)
	near(t, "spread", figures[0].Spread, 220.0/300)
	near(t, "the other value", figures[1].Value, 3)
	if !figures[0].met() || figures[0].Point == nil {
		t.Errorf("the goal or the place in the plot is lost: %+v", figures[0])
	}
}

func TestOneOfTwoSectionsWithTheSameNameKeepsItsOwnFigure(t *testing.T) {
	whole, size := cpu(1), cpu(2)
	size.Section = "size"
	if figures := medians([]Figure{whole, size}); len(figures) != 2 || figures[1].Value != 2 {
		t.Errorf("%+v", figures)
	}
}

// What a single pass has found of its own spread stays.
func TestOnePassStaysAsItIs(t *testing.T) {
	f := Sample{1, 2, 3}.figure("sluice", microsARow)
	if got := medians([]Figure{f}); len(got) != 1 || got[0].Spread != f.Spread {
		t.Errorf("%+v, not %+v", got, f)
	}
}
