package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
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
func readMutants(root, names string) ([]mutant, error) {
	matching, err := regexp.Compile(names)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, mutantsFile))
	if err != nil {
		return nil, err
	}
	all, err := parseMutants(string(text))
	all = slices.DeleteFunc(all, func(m mutant) bool { return !matching.MatchString(m.Name) })
	if err == nil && len(all) == 0 {
		err = errors.New("no mutant has such a name")
	}
	return all, err
}

// parseMutants reads the format that the package comment describes. Lines that start with # are comments.
func parseMutants(text string) (all []mutant, err error) {
	for _, block := range strings.Split("\n"+text, "\n== ")[1:] {
		head, body, _ := strings.Cut(block, "\n")
		var m mutant
		if _, err := fmt.Sscan(head, &m.Name, &m.Promise, &m.Test); err != nil {
			return nil, fmt.Errorf("%s: %q: want == name promise test", mutantsFile, head)
		}
		if folder, test, qualified := strings.Cut(m.Test, "."); qualified {
			m.Folder, m.Test = folder, test
		}
		previous := ""
		for line := range strings.Lines(body) {
			kind, rest := line[:1], line[1:]
			switch {
			case kind == "#" || kind == "\n":
				continue
			case kind == "-" && previous != "-":
				m.Edits = append(m.Edits, edit{Old: rest})
			case kind == "-":
				m.Edits[len(m.Edits)-1].Old += rest
			case kind == "+" && len(m.Edits) > 0:
				m.Edits[len(m.Edits)-1].New += rest
			default:
				m.Story = strings.TrimSpace(m.Story + " " + strings.TrimSpace(line))
			}
			previous = kind
		}
		if m.Story == "" || len(m.Edits) == 0 {
			return nil, fmt.Errorf("%s: %s has no story or no fragment", mutantsFile, m.Name)
		}
		all = append(all, m)
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
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		base, ext := path.Base(name), path.Ext(name)
		switch {
		case err != nil:
			return err
		case name != "." && base[0] == '.', base == "testdata", name == "cmd/bench", name == "cmd/mutants":
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case ext != ".go" && ext != ".sql":
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if !strings.HasSuffix(name, "_test.go") {
			t.code[name] = string(text)
			return err
		}
		pkg := "./" + path.Dir(name)
		t.rapid[pkg] = t.rapid[pkg] || strings.Contains(string(text), `"pgregory.net/rapid"`)
		for _, match := range testFunc.FindAllStringSubmatch(string(text), -1) {
			t.tests[match[1]] = append(t.tests[match[1]], pkg)
		}
		return err
	})
	return t, err
}

// place finds the code that the mutant breaks and the package of its test.
func (t *tree) place(m *mutant) error {
	top, _, _ := strings.Cut(m.Test, "/")
	in := slices.DeleteFunc(slices.Clone(t.tests[top]), func(pkg string) bool { return m.Folder != "" && m.Folder != path.Base(pkg) })
	if len(in) != 1 {
		return fmt.Errorf("%s: want exactly one test %s, found it in %q", m.Name, top, in)
	}
	m.pkg, m.rapid, m.overlay = in[0], t.rapid[in[0]], make(map[string]string)
	for _, e := range m.Edits {
		pattern := e.pattern()
		var places []string
		for name, text := range t.code {
			for range pattern.FindAllString(text, -1) {
				places = append(places, name)
			}
		}
		if len(places) != 1 {
			return fmt.Errorf("%s: want exactly one match, got %d %q of:\n%s", m.Name, len(places), places, strings.TrimRight(e.Old, "\n"))
		}
		file := places[0]
		m.overlay[file] = pattern.ReplaceAllString(cmp.Or(m.overlay[file], t.code[file]), e.template())
	}
	return nil
}

var (
	placeholder = regexp.MustCompile(`\\\$([A-Za-z]\w*)`) // $name, quoted
	restOfLine  = regexp.MustCompile(`\\\.\\\.\\\.`)      // ..., quoted
	space       = regexp.MustCompile(`\s+`)
	notAName    = regexp.MustCompile(`\$(\W|\d)`) // such as $1 in SQL
)

// pattern turns the fragment into a regular expression with a group for each placeholder.
func (e edit) pattern() *regexp.Regexp {
	expr := space.ReplaceAllLiteralString(regexp.QuoteMeta(strings.TrimSpace(e.Old)), `\s+`)
	expr = restOfLine.ReplaceAllLiteralString(expr, `[^\n]*`)
	known := make(map[string]bool)
	expr = placeholder.ReplaceAllStringFunc(expr, func(quoted string) string {
		name := quoted[len(`\$`):]
		if known[name] {
			return `[A-Za-z_][\w.]*`
		}
		known[name] = true
		return `(?P<` + name + `>[A-Za-z_][\w.]*)`
	})
	return regexp.MustCompile(expr)
}

// template returns the broken code, as [regexp.Regexp.Expand] wants it.
func (e edit) template() string { return notAName.ReplaceAllString(strings.TrimSpace(e.New), `$$$$$1`) }
