package terminal

import "testing"

// TestBarIsFullOnlyAtTheEnd, and not empty once something is done.
func TestBarIsFullOnlyAtTheEnd(t *testing.T) {
	for share, want := range map[float64]string{0: "....", 0.001: "-...", 0.5: "==..", 0.999: "===-", 1: "====", 2: "====", -1: "...."} {
		if got := (style{ascii: true}).draw(style{ascii: true}.bar(share, 4, good), 80); got != want {
			t.Errorf("%g is %q, want %q", share, got, want)
		}
	}
}

func TestColoursAreLeftOutWhereTheyAreNotWanted(t *testing.T) {
	r := row{{"done", good}, {" so far", plain}}
	if got := (style{colour: true}).draw(r, 6); got != "\x1b[32mdone\x1b[0m s" {
		t.Errorf("%q", got)
	}
	if got := (style{}).draw(r, 80); got != "done so far" {
		t.Errorf("%q", got)
	}
}
