package datasync

import "testing"

// A cursor tells when its page was looked up, and whoever cannot read it tells nothing.
func TestCursorTellsWhenItWasMade(t *testing.T) {
	recorded := "eyJpZCI6ImVkYTYyOGYzLWMxMjItNDEzZS05NGMwLTAyYTA5MjI3M2Y3NSIsInRzIjoxNzY5NTQxNDM2NzYxLCJ2IjoyLCJleHAiOjE3NzE1NTk3NzcwNjJ9"
	if made, ok := madeAt(recorded); !ok || made.UnixMilli() != 1771559777062 {
		t.Errorf("%v, %v", made, ok)
	}
	for _, cursor := range []string{"", "e30", "bnVsbA", "eyJleHAiOiJzb29uIn0", "eyJleHAiOi0xfQ", "eyJleHAiOjFlNDB9", "opaque!", recorded[:40]} {
		if made, ok := madeAt(cursor); ok {
			t.Errorf("%q: %v, want nothing", cursor, made)
		}
	}
}
