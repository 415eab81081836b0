//go:build !failpoints

package failpoint

// Hit passes a point.
func Hit(string) {}

// Sent returns dial. In a build with fail points, its connections pass the point after every write that contains the text: so a
// crash gets between a request and its answer.
func Sent(dial Dial, _, _ string) Dial { return dial }
