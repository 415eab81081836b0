package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What go test -json prints, cut down to what is read.
const (
	passes   = `{"Action":"run","Test":"TestA"}` + "\n" + `{"Action":"pass","Test":"TestA"}` + "\n"
	fails    = `{"Action":"run","Test":"TestA"}` + "\n" + `{"Action":"fail","Test":"TestA"}` + "\n"
	timesOut = `{"Action":"run","Test":"TestA"}` + "\n" + `{"Action":"output","Output":"panic: test timed out after 2m0s\n"}` + "\n" +
		`{"Action":"fail","Test":"TestA"}` + "\n"
	panics     = `{"Action":"run","Test":"TestA"}` + "\n" + `{"Action":"output","Output":"panic: oh\n"}` + "\n" + `{"Action":"fail"}` + "\n"
	compilesNo = `{"Action":"build-output","Output":"undefined: x\n"}` + "\n" + `{"Action":"build-fail"}` + "\n" + `{"Action":"fail"}` + "\n"
)

func TestOnlyAFailingTestKills(t *testing.T) {
	for _, c := range []struct{ what, out, failed, broken string }{
		{"passes", passes, "", ""},
		{"fails", fails, "TestA", ""},
		{"panics in a goroutine of its own", panics, "TestA", ""},
		{"does not compile", compilesNo, "", "it does not compile"},
		{"runs out of time", timesOut, "", "it ran out of time"},
		{"has no test", "", "", "no test ran"},
	} {
		f := readFate([]byte(c.out))
		if f.Failed != c.failed || f.Broken != c.broken {
			t.Errorf("a check that %s: failed %q, broken %q", c.what, f.Failed, f.Broken)
		}
	}
}

func TestASurvivorFailsTheRun(t *testing.T) {
	proven := mutant{Name: "2", Survives: "because"}
	for _, c := range []struct {
		what string
		r    result
		good bool
	}{
		{"killed", result{mutant: mutant{Name: "1"}, KilledBy: "TestA"}, true},
		{"alive", result{mutant: mutant{Name: "1"}}, false},
		{"invalid", result{mutant: mutant{Name: "1"}, Broken: "it does not compile"}, false},
		{"alive, as proven", result{mutant: proven}, true},
		{"killed against the proof", result{mutant: proven, KilledBy: "TestA"}, false},
	} {
		var table strings.Builder
		if err := writeResults(&table, []result{c.r}, time.Second); (err == nil) != c.good {
			t.Errorf("%s: %v\n%s", c.what, err, table.String())
		}
	}
}

// A tiny module with a check that sees one of two mutants.
func TestAHuntOverATree(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module tiny\n\ngo 1.26\n")
	write("sum/sum.go", "package sum\n\nfunc Sum(a, b int) int { return a + b }\n\nfunc Less(a, b int) bool { return a < b }\n")
	write("sum/sum_test.go", "package sum\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n\tif Sum(1, 2) != 3 {\n\t\tt.Fail()\n\t}\n}\n")
	const head = "A story.\n\npromise: P1\ncheck: go test ./sum -run '^TestSum$'\n\n--- a/sum/sum.go\n+++ b/sum/sum.go\n"
	write(mutantsDir+"/1.patch", head+"@@ -2,3 +2,3 @@\n \n-func Sum(a, b int) int { return a + b }\n+func Sum(a, b int) int { return a - b }\n \n")
	write(mutantsDir+"/2.patch", head+"@@ -4,2 +4,2 @@\n \n-func Less(a, b int) bool { return a < b }\n+func Less(a, b int) bool { return a > b }\n")
	if _, err := output(exec.Command("git", "-C", root, "init", "-q")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)

	var table, said strings.Builder
	err := run(t.Context(), []string{"-limit", "1m", "-jobs", "1"}, &table, &said)
	if err == nil || !strings.Contains(table.String(), "2 mutants: 1 killed, 1 not as they should be") {
		t.Errorf("got %v\n%s%s", err, table.String(), said.String())
	}
	if err := run(t.Context(), []string{"-run", "1"}, &table, &said); err != nil {
		t.Errorf("the one that is killed: %v\n%s", err, said.String())
	}
}
