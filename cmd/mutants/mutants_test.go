package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func allMutants(t *testing.T) (root string, mutants []mutant) {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	mutants, err = readMutants(root, "")
	if err != nil {
		t.Fatal(err)
	}
	return root, mutants
}

// A fragment that does not match breaks nothing, and a test that does not exist sees nothing. If this fails, adapt mutants.txt.
func TestEveryMutantHasItsPlaceAndItsTest(t *testing.T) {
	root, mutants := allMutants(t)
	tree, err := readTree(root)
	if err != nil {
		t.Fatal(err)
	}
	for i := range mutants {
		if err := tree.place(&mutants[i]); err != nil {
			t.Error(err)
		}
	}
}

func TestEveryPromiseHasAMutant(t *testing.T) {
	root, mutants := allMutants(t)
	promises, err := os.ReadFile(filepath.Join(root, "docs", "promises.md"))
	if err != nil {
		t.Fatal(err)
	}
	broken := make(map[string]bool)
	for _, m := range mutants {
		broken[m.Promise] = true
		if !strings.Contains(string(promises), "**"+m.Promise+"**") {
			t.Errorf("%s breaks %s, which docs/promises.md does not list", m.Name, m.Promise)
		}
	}
	for _, match := range regexp.MustCompile(`\*\*(P\d+)\*\*`).FindAllStringSubmatch(string(promises), -1) {
		if !broken[match[1]] {
			t.Errorf("no mutant breaks %s", match[1])
		}
	}
}

func TestFragments(t *testing.T) {
	code := &tree{
		code: map[string]string{
			"a.go": "if w.gate.Shut(ctx) &&\n\t\tw.open {\n",
			"b.go": "where id = $1 and seq = $2\nx, y := low, high\n",
		},
		tests: map[string][]string{"TestA": {"./a"}, "TestTwice": {"./a", "./b"}},
	}
	for _, c := range []struct{ test, old, new, file, want string }{
		{"TestA", "if $g.Shut(ctx) && $w.open {", "if $w.open || $g.Shut(ctx) {", "a.go", "if w.open || w.gate.Shut(ctx) {\n"},
		{"TestA/sub", "id = $1 and", "", "b.go", "where  seq = $2\nx, y := low, high\n"},
		{"TestA", "$x, y := ...", "$x, y := 1, 2", "b.go", "where id = $1 and seq = $2\nx, y := 1, 2\n"},
		{"TestA", "seq = $3", "", "", "got 0"},
		{"TestA", "w", "", "", "got 4"},
		{"TestTwice", "seq", "", "", "exactly one test"},
		{"b.TestTwice", "seq", "", "b.go", "where id = $1 and  = $2\nx, y := low, high\n"},
		{"TestNone", "seq", "", "", "exactly one test"},
	} {
		all, err := parseMutants("== m P1 " + c.test + "\nStory.\n- " + c.old + "\n+ " + c.new)
		if err != nil {
			t.Fatal(err)
		}
		m := all[0]
		err = code.place(&m)
		switch {
		case c.file == "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q in %s: got %v, want %q", c.old, c.test, err, c.want)
		case c.file != "" && (err != nil || m.overlay[c.file] != c.want):
			t.Errorf("%q: got %q, %v, want %q", c.old, m.overlay[c.file], err, c.want)
		}
	}
}

func TestParseMutants(t *testing.T) {
	const sound = "# remark\n== a P1 TestA\nOne\nstory.\n- x\n- y\n+ z\n- v\n"
	all, err := parseMutants(sound)
	if err != nil || len(all) != 1 || all[0].Story != "One story." || len(all[0].Edits) != 2 || all[0].Edits[0].Old != " x\n y\n" || all[0].Edits[1].New != "" {
		t.Errorf("got %+v, %v", all, err)
	}
	for what, text := range map[string]string{
		"no test":                  "== a P1\nStory.\n- x\n",
		"no story":                 "== a P1 TestA\n- x\n",
		"no fragment":              "== a P1 TestA\nStory.\n",
		"a replacement of nothing": "== a P1 TestA\nStory.\n+ x\n",
	} {
		if _, err := parseMutants(text); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestOnlyAFailingTestKills(t *testing.T) {
	fails := errors.New("exit status 1")
	for _, c := range []struct {
		what, output string
		err          error
		want         string
	}{
		{"passes", "ok  \tsluice/shard\t0.1s\n", nil, "SURVIVED"},
		{"fails", "--- FAIL: TestA (0.00s)\nFAIL\n", fails, "killed"},
		{"panics in a goroutine of its own", "panic: oh\n\ngoroutine 7 [running]:\nFAIL\tsluice/shard\t0.1s\n", fails, "killed"},
		{"does not compile", "FAIL\tsluice/shard [build failed]\n", fails, "INVALID: [build failed]"},
		{"times out", "panic: test timed out after 2m0s\nFAIL\tsluice/shard\t120.0s\n", fails, "INVALID: panic: test timed out"},
		{"has no test", "testing: warning: no tests to run\nok  \tsluice/shard\t0.1s [no tests to run]\n", nil, "INVALID: no tests to run"},
	} {
		if got := fateOf(c.output, c.err); got != c.want {
			t.Errorf("a test that %s: %s, want %s", c.what, got, c.want)
		}
	}
}

// A small module whose test notices one of two mutants.
func TestAHuntOverAModule(t *testing.T) {
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
	write(mutantsFile, "== one P1 TestSum\nWrong sums.\n- a + b\n+ a - b\n\n== two P1 TestSum\nWrong order.\n- a < b\n+ a > b\n")
	t.Chdir(root)

	var table, log strings.Builder
	err := run(t.Context(), []string{"-limit", "1m", "-jobs", "1"}, &table, &log)
	if err == nil || !strings.Contains(table.String(), "2 mutants, 1 killed") {
		t.Errorf("got %v\n%s%s", err, table.String(), log.String())
	}
	if err := run(t.Context(), []string{"-run", "one"}, &table, &log); err != nil {
		t.Errorf("the one that is killed: %v\n%s", err, log.String())
	}
}
