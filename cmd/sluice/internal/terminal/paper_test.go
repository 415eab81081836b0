package terminal

import (
	"bytes"
	"testing"
)

func nowhere(string) (string, bool) { return "", false }

// TestTableColumnsStandBelowEachOther: numbers are aligned to the right, and there are no colours unless stdout is a terminal.
func TestTableColumnsStandBelowEachOther(t *testing.T) {
	var out bytes.Buffer
	p := NewPaper(&out, nowhere)
	p.Fact("job", "%s", "default")
	p.Table(Table{Heads: []string{"state", ">rows", "read"}, Rows: [][]Cell{
		{State("done"), Text("1,000"), p.Bar(1, 4, "done")},
		{State("running"), Text("7"), p.Bar(0.5, 4, "running")},
	}})
	p.Table(Table{Heads: []string{"none"}})
	p.Say(Good("verified:"), "%d rows", 1007)
	const want = `job       default
state     rows  read
done     1,000  ====   100%
running      7  ==..  50.0%
verified: 1007 rows
`
	if out.String() != want || p.Err() != nil {
		t.Errorf("%v\n%s\nwant\n%s", p.Err(), out.String(), want)
	}
}

func TestASparkIsAsHighAsItsValues(t *testing.T) {
	for want, ascii := range map[string]bool{" ▁▄█": false, " .=%": true} {
		if got := (&Paper{s: style{ascii: ascii}}).Spark([]float64{0, 0.1, 0.5, 2}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
