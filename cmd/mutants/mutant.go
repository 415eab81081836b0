package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// mutantsDir holds the mutants, from the root of the module.
const mutantsDir = "cmd/mutants/testdata"

// mutant is one way in which the code is broken.
type mutant struct {
	Name     string // of its file, without .patch
	Story    string // what is wrong then, in a user's words
	Promise  string // which promise that breaks, such as P7
	Checks   []check
	Survives string // why no test can see it; empty: a check must kill it
	Pair     string // name of a mutant that dies and shows that only another layer lets this one live
	file     string
}

// check is tests of one package that must fail.
type check struct {
	Package string // such as ./shard
	Run     string // regular expression of go test -run
}

func (c check) String() string { return fmt.Sprintf("go test %s -run '%s'", c.Package, c.Run) }

// readMutants reads all mutants whose name matches, in the order of their names.
func readMutants(root string, names *regexp.Regexp) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(root, mutantsDir, "*.patch"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".patch")
		if !names.MatchString(name) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m, err := parseMutant(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		m.Name, m.file = name, file
		all = append(all, m)
	}
	if len(all) == 0 {
		return nil, errors.New("no mutant has such a name")
	}
	return all, nil
}

// parseMutant reads what stands before the patch: lines "key: value", and the story in front of them.
func parseMutant(text string) (m mutant, err error) {
	head, _, found := strings.Cut("\n"+text, "\n--- a/")
	if !found {
		return m, errors.New("it holds no patch")
	}
	var story []string
	for line := range strings.Lines(head) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "promise":
			m.Promise = value
		case "check":
			c, checkErr := parseCheck(value)
			m.Checks, err = append(m.Checks, c), cmp.Or(err, checkErr)
		case "survives":
			m.Survives = value
		case "pair":
			m.Pair = value
		default:
			story = append(story, line)
		}
	}
	m.Story = strings.TrimSpace(strings.Join(story, " "))
	return m, cmp.Or(err, m.validate())
}

func (m *mutant) validate() error {
	switch {
	case m.Story == "":
		return errors.New("it does not say what is broken")
	case m.Promise == "":
		return errors.New("it does not say which promise it breaks")
	case len(m.Checks) == 0:
		return errors.New("it names no check")
	case (m.Survives == "") != (m.Pair == ""):
		return errors.New("survives and pair go together")
	}
	return nil
}

var checkForm = regexp.MustCompile(`^go test (\./\S+) -run '(\S+)'$`)

func parseCheck(s string) (check, error) {
	parts := checkForm.FindStringSubmatch(s)
	if parts == nil {
		return check{}, fmt.Errorf("check %q does not have the form: go test ./shard -run '^TestName$'", s)
	}
	return check{Package: parts[1], Run: parts[2]}, nil
}

// tests returns the names of the tests that a check runs, subtests apart.
func (c check) tests() []string {
	top, _, _ := strings.Cut(c.Run, "/")
	return strings.Split(strings.Trim(top, "^$()"), "|")
}
