package main

import (
	"strings"
	"testing"
)

const goTest = `goos: linux
pkg: sluice/fetch
BenchmarkDecode-2         	     100	  10000000 ns/op	 150.00 MB/s	      2000 ns/event	 1200000 B/op	   15000 allocs/op
BenchmarkQuota-2          	 1000000	       250.0 ns/op	       0 B/op	       1 allocs/op
pkg: sluice/sink
BenchmarkCommit/rows=5000-2   	     100	  25000000 ns/op	    200000 rows/s	  400000 B/op	     100 allocs/op
BenchmarkCommitTwoWriters-2   	      10	  50000000 ns/op	    400000 rows/s
PASS
`

func TestPartsAreCountedByRowWhereTheBenchmarkKnowsRows(t *testing.T) {
	all, err := readParts(strings.NewReader(goTest))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 7 {
		t.Fatalf("%d figures: %+v", len(all), all)
	}
	near(t, "decode", figureOf(t, all, "decode", "ns/row").Value, 2000)
	near(t, "decode: allocations", figureOf(t, all, "decode: allocations", "/row").Value, 3)
	near(t, "quota", figureOf(t, all, "quota", "ns/op").Value, 250)
	near(t, "quota: allocations", figureOf(t, all, "quota: allocations", "/op").Value, 1)
	near(t, "commit", figureOf(t, all, "commit, rows 5000", "ns/row").Value, 5000)
	near(t, "commit: allocations", figureOf(t, all, "commit, rows 5000: allocations", "/row").Value, 0.02)
	near(t, "two writers", figureOf(t, all, "commit two writers", "ns/row").Value, 2500)
}

func TestPartsWithoutABenchmarkAreAnError(t *testing.T) {
	for _, text := range []string{"", "PASS\n", "BenchmarkDecode-2 100 x ns/op\n"} {
		if all, err := readParts(strings.NewReader(text)); err == nil {
			t.Errorf("%q: %+v", text, all)
		}
	}
}

func TestTheOtherWritePathsStandBesideOurs(t *testing.T) {
	all := besideWritePath([]Figure{
		Sample{2000}.figure(writePath, nanosARow), Sample{0.02}.figure(writePath+": allocations", "/row"),
		Sample{3000}.figure(oldWritePath, nanosARow), Sample{3000}.figure(stagedWritePath, nanosARow), Sample{1}.figure("decode", nanosARow),
	})
	old, staged := figureOf(t, all, oldWritePath, nanosARow), figureOf(t, all, stagedWritePath, nanosARow)
	near(t, "old", old.Ratio, 1.5)
	near(t, "staged", staged.Ratio, 1.5)
	if old.met() || staged.Goal != nil || all[0].Beside != "" || all[4].Beside != "" {
		t.Errorf("%+v", all)
	}
	alone := besideWritePath([]Figure{Sample{3000}.figure(oldWritePath, nanosARow)})
	if alone[0].Beside != "" {
		t.Errorf("%+v stands beside nothing", alone[0])
	}
}
