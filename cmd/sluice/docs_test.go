package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocsNameWhatExists: every test, file and make target that a page of docs/ names is there.
func TestDocsNameWhatExists(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	tests := testNames(t, root)
	makefile := read(t, filepath.Join(root, "Makefile"))
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no page in docs: %v", err)
	}
	for _, page := range pages {
		for _, code := range regexp.MustCompile("`[^`\n]+`").FindAllString(read(t, page), -1) {
			name := strings.Trim(code, "`")
			switch {
			case regexp.MustCompile(`^(Test|Fuzz|Benchmark)[A-Z]\w*$`).MatchString(name):
				if !tests[name] {
					t.Errorf("%s names the test %s, which there is not", page, name)
				}
			case regexp.MustCompile(`^(cmd|shard|fetch|sink|coordinator|migrations|docs|deploy)/[\w./-]+$`).MatchString(name):
				if _, err := os.Stat(filepath.Join(root, name)); err != nil {
					t.Errorf("%s names the file %s: %v", page, name, err)
				}
			case strings.HasPrefix(name, "make "):
				if target := strings.Fields(name)[1]; !contains(makefile, "\n"+target+":") {
					t.Errorf("%s names the target %s, which the Makefile has not", page, target)
				}
			}
		}
	}
}

// testNames returns the names of all tests of the module.
func testNames(t *testing.T, root string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, found := range declared.FindAllStringSubmatch(read(t, path), -1) {
			names[found[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
