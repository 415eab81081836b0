package e2e

import (
	"bytes"
	"go/ast"
	"os"
	"strconv"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/shard/failpoint"
)

// TestFailPointsAreThoseOfTheTable reads the source: every point that is passed is in the table, and each of the table is
// passed at exactly one place.
func TestFailPointsAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	places := map[string]int{}
	for _, f := range sourceFiles(t) {
		ast.Inspect(f.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if name, ok := pointOf(call); ok {
					places[name]++
				}
			}
			return true
		})
	}
	for _, p := range failpoint.Points {
		if places[p.Name] != 1 {
			t.Errorf("%s is passed at %d places", p.Name, places[p.Name])
		}
		if p.Where == "" {
			t.Errorf("%s: the table does not say where it is", p.Name)
		}
		delete(places, p.Name)
	}
	for name := range places {
		t.Errorf("%q is not in the table", name)
	}
}

// pointOf returns the point that a call passes, which must be written out there.
func pointOf(call *ast.CallExpr) (name string, ok bool) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	if pkg, ok := sel.X.(*ast.Ident); !ok || pkg.Name != "failpoint" || sel.Sel.Name != "Hit" && sel.Sel.Name != "Sent" {
		return "", false
	}
	last, ok := call.Args[len(call.Args)-1].(*ast.BasicLit)
	if !ok {
		return "a name that is no constant", true
	}
	name, err := strconv.Unquote(last.Value)
	return name, err == nil
}

// TestFailPointsCostNothing looks into both binaries: in the normal one there is neither the name of a point nor that of the
// variable that arms them. The calls are gone, and with them their arguments.
func TestFailPointsCostNothing(t *testing.T) {
	t.Parallel()
	normal, tagged := readBinary(t, binary), readBinary(t, crashBinary)
	texts := []string{"SLUICE_FAILPOINTS"}
	for _, p := range failpoint.Points {
		texts = append(texts, p.Name, p.Where)
	}
	for _, text := range texts {
		if bytes.Contains(normal, []byte(text)) {
			t.Errorf("the normal binary holds %q", text)
		}
		if !bytes.Contains(tagged, []byte(text)) {
			t.Errorf("the binary with fail points does not hold %q", text)
		}
	}
}

// TestAFusesMistakeIsSaid: a campaign with a misspelt point would else prove nothing.
func TestAFusesMistakeIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10, nil)
	for _, fuse := range []string{"commit.snet:kill", "commit.sent:explode", "commit.sent:kill@0", "commit.sent"} {
		p := w.startBuilt(crashBinary, []string{"SLUICE_FAILPOINTS=" + fuse}, "run")
		if code := p.code(t, time.Minute); code == cli.ExitOK || !contains(p.out.String(), fuse) {
			t.Errorf("%s: exit code %d:\n%s", fuse, code, p.out.String())
		}
	}
}

func readBinary(t *testing.T, build func() (string, error)) []byte {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
