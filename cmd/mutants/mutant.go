package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mutantsFile holds the mutants, relative to the module's root.
const mutantsFile = "cmd/mutants/mutants.txt"

// mutant is one way to break the code.
type mutant struct {
	Name    string
	Promise string // such as P7
	Test    string // the test that must fail, perhaps with a subtest: TestExact/less_than_a_page
	Folder  string // of the test, such as fetch; needed only if several packages have a test of that name
	Story   string // what a user would see
	Edits   []edit

	overlay map[string]string // file → its broken text, set by place
	pkg     string            // package of the test, such as ./shard, set by place
	rapid   bool              // that package has property tests, set by place
}

// edit replaces one fragment of the code.
type edit struct{ Old, New string }

// readMutants returns the mutants whose name matches, in the file's order.
func readMutants(root string, names *regexp.Regexp) ([]mutant, error) {
	text, err := os.ReadFile(filepath.Join(root, mutantsFile))
	if err != nil {
		return nil, err
	}
	all, err := parseMutants(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mutantsFile, err)
	}
	all = slices.DeleteFunc(all, func(m mutant) bool { return !names.MatchString(m.Name) })
	if len(all) == 0 {
		return nil, errors.New("no mutant has such a name")
	}
	return all, nil
}

// parseMutants reads the format that the package comment describes. Lines that start with # are comments.
func parseMutants(text string) (all []mutant, err error) {
	previous := byte(0)
	for n, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		if head, ok := strings.CutPrefix(line, "== "); ok {
			words := strings.Fields(head)
			if len(words) != 3 {
				return nil, fmt.Errorf("line %d: want == name promise test", n+1)
			}
			folder, test, qualified := strings.Cut(words[2], ".")
			if !qualified {
				folder, test = "", words[2]
			}
			all = append(all, mutant{Name: words[0], Promise: words[1], Folder: folder, Test: test})
			previous = '='
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("line %d: before the first mutant", n+1)
		}
		m := &all[len(all)-1]
		switch line[0] {
		case '-':
			if previous != '-' {
				m.Edits = append(m.Edits, edit{})
			}
			m.Edits[len(m.Edits)-1].Old += line[1:] + "\n"
		case '+':
			if len(m.Edits) == 0 {
				return nil, fmt.Errorf("line %d: a replacement without a fragment", n+1)
			}
			m.Edits[len(m.Edits)-1].New += line[1:] + "\n"
		default:
			m.Story = strings.TrimSpace(m.Story + " " + strings.TrimSpace(line))
		}
		previous = line[0]
	}
	for i := range all {
		if m := &all[i]; m.Story == "" || len(m.Edits) == 0 {
			return nil, fmt.Errorf("%s has no story or no fragment", m.Name)
		}
	}
	return all, nil
}

// tree is the source code of the module.
type tree struct {
	code  map[string]string   // file → text, production code only
	tests map[string][]string // test function → packages that declare it
	rapid map[string]bool     // packages with property tests
}

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

// readTree reads the Go and SQL files of the module. Tools that check the product are not part of it.
func readTree(root string) (*tree, error) {
	t := &tree{code: make(map[string]string), tests: make(map[string][]string), rapid: make(map[string]bool)}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || name == "cmd/bench" || name == "cmd/mutants" {
				return filepath.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(name); ext != ".go" && ext != ".sql" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !strings.HasSuffix(name, "_test.go") {
			t.code[name] = string(text)
			return nil
		}
		if strings.Contains(string(text), `"pgregory.net/rapid"`) {
			t.rapid["./"+filepath.Dir(name)] = true
		}
		for _, match := range testFunc.FindAllStringSubmatch(string(text), -1) {
			t.tests[match[1]] = append(t.tests[match[1]], "./"+filepath.Dir(name))
		}
		return nil
	})
	return t, err
}

// place finds the code that the mutant breaks and the package of its test.
func (t *tree) place(m *mutant) error {
	top, _, _ := strings.Cut(m.Test, "/")
	in := slices.Clone(t.tests[top])
	in = slices.DeleteFunc(in, func(pkg string) bool { return m.Folder != "" && m.Folder != filepath.Base(pkg) })
	if len(in) != 1 {
		return fmt.Errorf("%s: want exactly one test %s, found it in %q", m.Name, top, in)
	}
	m.pkg, m.rapid, m.overlay = in[0], t.rapid[in[0]], make(map[string]string)
	for _, e := range m.Edits {
		pattern, names := e.pattern()
		var places []string
		var before, after string
		for _, name := range slices.Sorted(maps.Keys(t.code)) {
			text := t.code[name]
			for _, at := range pattern.FindAllStringSubmatchIndex(text, -1) {
				bound, ok := bind(names, text, at)
				if !ok {
					continue
				}
				places = append(places, name)
				if broken, edited := m.overlay[name]; edited {
					text, at = broken, pattern.FindStringSubmatchIndex(broken)
				}
				before, after = name, text[:at[0]]+e.replacement(bound)+text[at[1]:]
			}
		}
		if len(places) != 1 {
			return fmt.Errorf("%s: want exactly one match, got %d %q of:\n%s", m.Name, len(places), places, strings.TrimRight(e.Old, "\n"))
		}
		m.overlay[before] = after
	}
	return nil
}

var (
	placeholder = regexp.MustCompile(`\$[A-Za-z]\w*|\.\.\.`)
	space       = regexp.MustCompile(`\s+`)
)

// pattern turns the fragment into a regular expression, and returns which placeholder each of its groups stands for.
func (e edit) pattern() (*regexp.Regexp, []string) {
	var names []string
	var expr strings.Builder
	literal := func(s string) { expr.WriteString(space.ReplaceAllString(regexp.QuoteMeta(s), `\s+`)) }
	old, last := strings.TrimSpace(e.Old), 0
	for _, at := range placeholder.FindAllStringIndex(old, -1) {
		literal(old[last:at[0]])
		if name := old[at[0]:at[1]]; name == "..." {
			expr.WriteString(`[^\n]*`)
		} else {
			names = append(names, name)
			expr.WriteString(`([A-Za-z_][\w.]*)`)
		}
		last = at[1]
	}
	literal(old[last:])
	return regexp.MustCompile(expr.String()), names
}

// bind reads what the placeholders stand for. It fails if one of them stands for two different names.
func bind(names []string, text string, at []int) (map[string]string, bool) {
	bound := make(map[string]string)
	for i, name := range names {
		value := text[at[2*i+2]:at[2*i+3]]
		if known, ok := bound[name]; ok && known != value {
			return nil, false
		}
		bound[name] = value
	}
	return bound, true
}

// replacement returns the broken code.
func (e edit) replacement(bound map[string]string) string {
	return placeholder.ReplaceAllStringFunc(strings.TrimSpace(e.New), func(name string) string {
		if value, ok := bound[name]; ok {
			return value
		}
		return name
	})
}
