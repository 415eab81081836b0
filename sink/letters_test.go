package sink

import (
	"strings"
	"testing"
)

// A dead letter of the largest size that is kept is kept whole.
func TestALargeDeadLetterIsKeptWhole(t *testing.T) {
	b := newBench(t)
	large := reject(`{"x":"`+strings.Repeat("\xff", 1<<20-8)+`"}`, "")
	_, err := b.Commit(t.Context(), batch(b.begin(t, 1), nil, large))
	must(t, err)
	equal(t, "bytes", b.count(t, `select length(raw) from dead_letters where raw = $1`, large.Raw), 1<<20)
}
