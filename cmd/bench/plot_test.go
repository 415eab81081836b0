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
		panel panel
		at    spot
		want  spot
	}{
		{share, spot{1, 0}, spot{marginLeft, marginTop + plotHigh}},
		{share, spot{64, 1.1}, spot{marginLeft + plotWide, marginTop}},
		{share, spot{8, 0.55}, spot{marginLeft + plotWide/2, marginTop + plotHigh/2}},
		{times, spot{1, 1}, spot{marginLeft, marginTop + plotHigh}},
		{times, spot{8, 32}, spot{marginLeft + plotWide/2, marginTop}},
		{times, spot{1, 0.5}, spot{marginLeft, marginTop + plotHigh}}, // slower than one shard: on the axis, not below it
	} {
		got := c.panel.place(c.at)
		near(t, "x", got.x, c.want.x)
		near(t, "y", got.y, c.want.y)
	}
}
