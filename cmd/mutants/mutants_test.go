package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func all(t *testing.T) (root string, mutants []mutant) {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	mutants, err = readMutants(root, regexp.MustCompile(""))
	if err != nil {
		t.Fatal(err)
	}
	return root, mutants
}

// A patch that does not apply any more tests nothing: whoever changes the code it breaks moves it along.
func TestEveryPatchStillApplies(t *testing.T) {
	root, mutants := all(t)
	if len(mutants) < 40 {
		t.Errorf("only %d mutants", len(mutants))
	}
	for _, m := range mutants {
		if err := patch(t.Context(), root, &m, "--check"); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

// A check that names no test passes whatever happens.
func TestEveryCheckNamesTestsThatAreThere(t *testing.T) {
	root, mutants := all(t)
	known := make(map[string][]string)
	for _, m := range mutants {
		for _, c := range m.Checks {
			if known[c.Package] == nil {
				known[c.Package] = testsOf(t, filepath.Join(root, c.Package))
			}
			for _, name := range c.tests() {
				if !slices.Contains(known[c.Package], name) {
					t.Errorf("%s: %s has no test %s", m.Name, c.Package, name)
				}
			}
		}
	}
}

func testsOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

func TestEveryPromiseIsMade(t *testing.T) {
	root, mutants := all(t)
	promises, err := os.ReadFile(filepath.Join(root, "docs", "promises.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		if !strings.Contains(string(promises), "**"+m.Promise+"**") {
			t.Errorf("%s breaks %s, which is no promise", m.Name, m.Promise)
		}
	}
}

// The pair of a survivor is a mutant that dies.
func TestSurvivorsHaveAPairThatDies(t *testing.T) {
	_, mutants := all(t)
	for _, m := range mutants {
		dies := func(other mutant) bool { return other.Name == m.Pair && other.Survives == "" }
		if m.Survives != "" && !slices.ContainsFunc(mutants, dies) {
			t.Errorf("%s: its pair %q is no mutant that dies", m.Name, m.Pair)
		}
	}
}

func TestThePageIsWhatTheProgramWrites(t *testing.T) {
	root, mutants := all(t)
	var want bytes.Buffer
	if err := writeMarkdown(&want, mutants); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "docs", "mutants.md"))
	if err != nil || string(got) != want.String() {
		t.Errorf("docs/mutants.md is out of date (%v): go run ./cmd/mutants -list -markdown > docs/mutants.md", err)
	}
}

func TestAFileThatLacksSomethingIsRefused(t *testing.T) {
	const sound = "Something is broken.\n\npromise: P1\ncheck: go test ./shard -run '^TestTrim$'\n\n--- a/x\n+++ b/x\n"
	m, err := parseMutant(sound)
	if err != nil || m.Story != "Something is broken." || m.Checks[0].tests()[0] != "TestTrim" {
		t.Fatalf("got %+v, %v", m, err)
	}
	for what, text := range map[string]string{
		"no story":       strings.Replace(sound, "Something is broken.", "", 1),
		"no promise":     strings.Replace(sound, "promise: P1", "", 1),
		"no check":       strings.Replace(sound, "check:", "look:", 1),
		"no patch":       strings.Replace(sound, "--- a/x", "", 1),
		"an empty -run":  strings.Replace(sound, "^TestTrim$", "", 1),
		"a lone survive": "survives: because\n" + sound,
	} {
		if _, err := parseMutant(text); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}
