package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPlotIsXMLWithACurveForEachSeries(t *testing.T) {
	point := func(ratio float64, panel, curve string, x int) Figure {
		return figure("a", thousandRows, 1).beside(theFloor, ratio).at(panel, curve, x)
	}
	r := report(2, 1000, point(0.4, machinePanel, "a < b & c", 1), point(0.7, machinePanel, "a < b & c", 8),
		point(0.3, machinePanel, "other", 8), point(32, latencyPanel, "slow", 32), cpu(3))
	svg := string(r.plot())
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
	for part, times := range map[string]int{
		"<circle": 4, "a &lt; b &amp; c</text>": 1, ">other</text>": 1, ">shards</text>": len(panels), ">64</text>": len(panels),
	} {
		if n := strings.Count(svg, part); n != times {
			t.Errorf("%q is there %d times, want %d", part, n, times)
		}
	}
}

func TestPlotPlaces(t *testing.T) {
	share, times := panels[0], panels[1]
	for _, c := range []struct {
		panel        panel
		x, y         float64
		wantX, wantY float64
	}{
		{share, 1, 0, marginLeft, marginTop + plotHigh},
		{share, 64, 1.1, marginLeft + plotWide, marginTop},
		{share, 8, 0.55, marginLeft + plotWide/2, marginTop + plotHigh/2},
		{times, 1, 1, marginLeft, marginTop + plotHigh},
		{times, 8, 32, marginLeft + plotWide/2, marginTop},
		{times, 1, 0.5, marginLeft, marginTop + plotHigh}, // slower than one shard: on the axis, not below it
	} {
		got := c.panel.place(c.x, c.y, "")
		near(t, "x", got.X, c.wantX)
		near(t, "y", got.Y, c.wantY)
	}
}
