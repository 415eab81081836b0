package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/cli"

	"github.com/spf13/pflag"
)

// TestDocsNameWhatExists: every test, file and make target that a page of docs/ names is there.
func TestDocsNameWhatExists(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
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

// TestLinksLeadSomewhere: every relative link of a page is a file that exists, and its anchor is a heading of it.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"))
	links := 0
	for _, page := range pages {
		for _, found := range regexp.MustCompile(`\]\(([^)\s:]+)\)`).FindAllStringSubmatch(read(t, page), -1) {
			links++
			file, anchor, _ := strings.Cut(found[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, found[1], err)
			} else if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s links to %s, which has no such heading", page, found[1])
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links found", links)
	}
}

// anchors returns the names that the headings of a page have in links.
func anchors(page string) (names []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// TestSettingsAreDocumented: docs/settings.md has every flag of the commands that ingest.
func TestSettingsAreDocumented(t *testing.T) {
	t.Parallel()
	settings := read(t, filepath.Join("..", "..", "..", "docs", "settings.md"))
	flags := 0
	for _, command := range (&cli.Program{}).Root().Commands() {
		if command.GroupID != "ingest" {
			continue
		}
		command.Flags().VisitAll(func(f *pflag.Flag) {
			flags++
			if !f.Hidden && !strings.Contains(settings, "`--"+f.Name+"`") {
				t.Errorf("docs/settings.md lacks --%s of sluice %s", f.Name, command.Name())
			}
		})
	}
	if flags < 100 {
		t.Errorf("only %d flags found", flags)
	}
}
