package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePrefix = "sluice/"

// rooms says who may enter whom (docs/adr/0001): each package and the packages of ours that its files, tests apart, import.
var rooms = map[string][]string{
	"shard/failpoint":               {},
	"shard":                         {"shard/failpoint"},
	"fetch/apisim":                  {},
	"fetch/hostile":                 {},
	"migrations":                    {"shard/failpoint"},
	"fetch/quota":                   {"shard", "coordinator/ledger"},
	"fetch/decode":                  {"shard"},
	"fetch":                         {"shard", "shard/failpoint", "fetch/quota"},
	"fetch/datasync":                {"shard", "shard/failpoint", "coordinator/ledger", "fetch", "fetch/quota", "fetch/decode"},
	"coordinator/ledger":            {"shard"},
	"coordinator":                   {"shard", "shard/failpoint", "coordinator/ledger"},
	"coordinator/job":               {"shard", "shard/failpoint", "coordinator", "coordinator/ledger", "sink/audit"},
	"coordinator/ledger/ledgertest": {"shard", "coordinator/ledger"},
	"coordinator/ledger/memstore":   {"shard", "coordinator/ledger"},
	"sink":                          {"shard", "shard/failpoint", "migrations", "coordinator/ledger", "sink/doctor"},
	"sink/audit":                    {"shard", "coordinator/ledger"},
	"sink/doctor":                   {"migrations"},
	"sink/embedpg":                  {},
	"sink/pgtest":                   {"sink/embedpg"},
	"cmd/sluice":                    {"cmd/sluice/internal/cli", "cmd/sluice/internal/terminal"},
	"cmd/sluice/internal/cli":       {"*"},
	// One read model of a job, and three ways to draw it.
	"cmd/sluice/internal/view":     {"shard", "coordinator", "coordinator/job", "coordinator/ledger", "fetch", "fetch/datasync", "fetch/quota", "sink"},
	"cmd/sluice/internal/terminal": {"cmd/sluice/internal/view"},
	"cmd/sluice/internal/page":     {"cmd/sluice/internal/view"},
	"cmd/sluice/internal/metrics":  {"cmd/sluice/internal/view"},
	"cmd/bench":                    {"*"},
	"cmd/mutants":                  {},
	"cmd/sluice/e2e":               {},
}

// guests says in which rooms a third party may be.
var guests = map[string][]string{
	"github.com/sourcegraph/conc": {"coordinator"},
	"golang.org/x/time/rate":      {"fetch/quota"},
	"golang.org/x/sync/errgroup":  {"shard", "fetch/apisim", "cmd/bench", "cmd/mutants"},
	"github.com/jackc/pgx":        {"sink", "sink/doctor", "sink/embedpg", "sink/pgtest", "migrations", "cmd/bench"},
	"github.com/spf13":            {"cmd/sluice/internal/cli"},
	"github.com/vbauerster/mpb":   {"cmd/sluice/internal/terminal"},
	"github.com/pressly/goose":    {"sink", "migrations"},
	"github.com/prometheus":       {"cmd/sluice/internal/metrics", "cmd/bench"},
}

// sourceFile is one file of the module, tests apart.
type sourceFile struct {
	room string
	path string
	file *ast.File
}

func sourceFiles(t *testing.T) []sourceFile {
	t.Helper()
	root := filepath.Join("..", "..", "..")
	var files []sourceFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return cmpSkip(err)
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		files = append(files, sourceFile{room: filepath.ToSlash(filepath.Dir(rel)), path: rel, file: file})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d files found", len(files))
	}
	return files
}

func cmpSkip(err error) error {
	if err != nil {
		return err
	}
	return filepath.SkipDir
}

// TestRoomsAreEnteredOnlyAsTheDesignSays holds the layers.
func TestRoomsAreEnteredOnlyAsTheDesignSays(t *testing.T) {
	t.Parallel()
	for _, f := range sourceFiles(t) {
		allowed, known := rooms[f.room]
		if !known {
			t.Errorf("%s: package %s is no room of the design", f.path, f.room)
		}
		for _, spec := range f.file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if own, ok := strings.CutPrefix(name, modulePrefix); ok {
				if !slices.Contains(allowed, "*") && !slices.Contains(allowed, own) {
					t.Errorf("%s: %s must not import %s", f.path, f.room, own)
				}
			}
			for guest, where := range guests {
				if strings.HasPrefix(name, guest) && !slices.Contains(where, f.room) {
					t.Errorf("%s: %s belongs into %v, not into %s", f.path, guest, where, f.room)
				}
			}
		}
	}
}

// forTests are packages that only tests may import.
var forTests = []string{"sink/pgtest", "fetch/hostile", "coordinator/ledger/memstore", "coordinator/ledger/ledgertest"}

// TestRoomsForTestsAreEnteredByTestsOnly: a binary with a fault server in it is larger, and one day calls it.
func TestRoomsForTestsAreEnteredByTestsOnly(t *testing.T) {
	t.Parallel()
	for _, f := range sourceFiles(t) {
		for _, spec := range f.file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if own, ok := strings.CutPrefix(name, modulePrefix); ok && slices.Contains(forTests, own) {
				t.Errorf("%s: %s is for tests", f.path, own)
			}
		}
	}
}

// The limits of a folder: a reader should take its table of contents in at a glance, and a shared prefix is a package that was
// never made. foo_linux.go and foo_other.go share one.
const (
	maxFolderFiles = 25
	maxPrefixFiles = 3
)

// crowded are the folders that exceed a limit for now. Nothing is added to this list.
var crowded = []string{}

// TestFoldersAndPrefixesStaySmall counts production files.
func TestFoldersAndPrefixesStaySmall(t *testing.T) {
	t.Parallel()
	folders := map[string][]string{}
	for _, f := range sourceFiles(t) {
		dir, name := filepath.Split(filepath.ToSlash(f.path))
		dir = strings.TrimSuffix(dir, "/")
		folders[dir] = append(folders[dir], strings.TrimSuffix(name, ".go"))
	}
	for dir, names := range folders {
		var faults []string
		if len(names) > maxFolderFiles {
			faults = append(faults, fmt.Sprintf("it has %d files, more than %d", len(names), maxFolderFiles))
		}
		prefixes := map[string]int{}
		for _, name := range names {
			prefix, _, _ := strings.Cut(name, "_")
			if prefixes[prefix]++; prefixes[prefix] == maxPrefixFiles+1 {
				faults = append(faults, fmt.Sprintf("more than %d files begin with %q: make them a package", maxPrefixFiles, prefix))
			}
		}
		switch known := slices.Contains(crowded, dir); {
		case len(faults) > 0 && !known:
			t.Errorf("%s: %s", dir, strings.Join(faults, "; "))
		case len(faults) == 0 && known:
			t.Errorf("%s is within the limits now: remove it from the list crowded in this file", dir)
		}
	}
	for _, dir := range crowded {
		if folders[dir] == nil {
			t.Errorf("%s is gone: remove it from the list crowded in this file", dir)
		}
	}
}

// goroutines lists the rooms that may start goroutines: the three owners, and what stands in for the world around them.
var goroutines = []string{"coordinator", "coordinator/job", "shard", "cmd/sluice/internal/cli", "fetch/apisim", "sink/embedpg", "sink/pgtest", "coordinator/ledger/ledgertest", "cmd/bench", "cmd/mutants"}

// TestGoroutinesHaveThreeOwners: the coordinator (with the keepers of a job's lock and quotas), a shard's two halves, and the
// command start goroutines, no other package does.
func TestGoroutinesHaveThreeOwners(t *testing.T) {
	t.Parallel()
	for _, f := range sourceFiles(t) {
		if slices.Contains(goroutines, f.room) {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", f.path)
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" {
					t.Errorf("%s starts a goroutine", f.path)
				}
			}
			return true
		})
	}
}

// TestGoroutinesOfTheCommandAreGuarded, and those of a job by the guard that the command gives it: an uncaught panic would end the
// process with Go's exit code, which says "wrong usage" here.
func TestGoroutinesOfTheCommandAreGuarded(t *testing.T) {
	t.Parallel()
	isGuarded := func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return false
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		return ok && (sel.Sel.Name == "guarded" || sel.Sel.Name == "Guard")
	}
	started := 0
	for _, f := range sourceFiles(t) {
		if f.room != "cmd/sluice/internal/cli" && f.room != "coordinator/job" {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			var runs ast.Node
			switch n := n.(type) {
			case *ast.GoStmt:
				runs = n.Call.Fun
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" {
					runs = n.Args[0]
				}
			}
			if runs != nil {
				started++
				if !isGuarded(runs) {
					t.Errorf("%s starts a goroutine that is not guarded", f.path)
				}
			}
			return true
		})
	}
	if started < 4 {
		t.Errorf("only %d goroutines found", started)
	}
}

// TestTheOnlyDataChannelIsThePageQueue: where records travel between goroutines, they do so in shard's queue.
func TestTheOnlyDataChannelIsThePageQueue(t *testing.T) {
	t.Parallel()
	for _, f := range sourceFiles(t) {
		ast.Inspect(f.file, func(n ast.Node) bool {
			channel, ok := n.(*ast.ChanType)
			if !ok {
				return true
			}
			name := ""
			if ident, ok := channel.Value.(*ast.Ident); ok {
				name = ident.Name
			}
			if (name == "Batch" || name == "Page" || name == "Event") && f.room != "shard" {
				t.Errorf("%s has a channel of %s", f.path, name)
			}
			return true
		})
	}
}
