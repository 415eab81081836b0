// Mutants breaks Sluice on purpose, one way at a time, and requires a named test to fail. A test that passes while the code is
// wrong is worth nothing, and only this shows it.
//
// The mutants are in mutants.txt. Each has a name, the promise of docs/promises.md that it breaks, the test that must fail, a
// sentence saying what a user would see, and what to replace in the code:
//
//	== end-from-the-cache P8 TestRunStuckAtACachedEnd
//	The second read that confirms an end may come from the API's cache.
//	- case $p.ends() && !$p.Cached && $w.endsAgain():
//	+ case $p.ends() && $w.endsAgain():
//
// The fragment after "-" must occur exactly once in the production code of the whole module. White space is equal to any white
// space, a word after $ stands for any name (in the replacement, for the first one), and "..." stands for the rest of a line. No
// file, package or line is named, so code can move and most names can change. A test reports every fragment that no longer matches.
//
//	go run ./cmd/mutants             # all of them; takes minutes
//	go run ./cmd/mutants -run trim   # mutants with a matching name
//
// The code on disk stays as it is: the broken files are laid over it with go's -overlay, by way of GOFLAGS so that tests that build the
// program themselves get the mutant too. A mutant that does not compile, or whose test only times out, is not killed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run runs the mutants, after all of their tests against the sound code, and fails if one survives.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(stderr)
	names := flags.String("run", "", "only mutants whose name matches this regular expression")
	jobs := flags.Int("jobs", 2, "mutants at a time")
	limit := flags.Duration("limit", 2*time.Minute, "time limit of one test")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	mutants, err := readMutants(root, *names)
	if err != nil {
		return err
	}
	t, err := readTree(root)
	if err != nil {
		return err
	}
	var tests, packages []string
	for i := range mutants {
		if err := t.place(&mutants[i]); err != nil {
			return err
		}
		top, _, _ := strings.Cut(mutants[i].Test, "/")
		tests, packages = append(tests, top), append(packages, mutants[i].pkg)
	}
	if fate, output, err := goTest(ctx, root, nil, 5**limit, "("+strings.Join(tests, "|")+")", packages...); err != nil || fate != "SURVIVED" {
		return fmt.Errorf("without a mutant the tests do not pass: %s %w\n%s", fate, err, output)
	}
	var mu sync.Mutex
	killed := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, *jobs))
	for _, m := range mutants {
		group.Go(func() error {
			started := time.Now()
			args := []string{m.pkg}
			if m.rapid {
				args = append(args, "-rapid.nofailfile") // a failure that was wanted is not kept
			}
			fate, output, err := goTest(ctx, root, m.overlay, *limit, strings.ReplaceAll(m.Test, "/", "$/^"), args...)
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(stdout, "%-40s %-4s %5.1f s  %s by %s\n", m.Name, m.Promise, time.Since(started).Seconds(), fate, m.Test)
			if fate == "killed" {
				killed++
			} else {
				fmt.Fprintln(stderr, output)
			}
			return err
		})
	}
	err = group.Wait()
	fmt.Fprintf(stdout, "%d mutants, %d killed\n", len(mutants), killed)
	if err == nil && killed < len(mutants) {
		err = errors.New("mutants survived or are invalid: write a test that kills them")
	}
	return err
}

// moduleRoot returns the directory of go.mod.
func moduleRoot() (string, error) {
	file, err := exec.Command("go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(file))), err
}

// goTest runs tests with some files replaced, and returns the fate of the mutant that they are, and the end of what was printed. An error
// means that they could not be run at all.
func goTest(ctx context.Context, root string, overlay map[string]string, limit time.Duration, test string, args ...string) (fate, output string, err error) {
	dir, err := os.MkdirTemp("", "sluice-mutant-")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(dir)
	replace := make(map[string]string)
	for name, text := range overlay {
		broken := filepath.Join(dir, strconv.Itoa(len(replace))+filepath.Ext(name))
		if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
			return "", "", err
		}
		replace[filepath.Join(root, name)] = broken
	}
	list, _ := json.Marshal(map[string]any{"Replace": replace}) // strings are always encoded
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), list, 0o600); err != nil {
		return "", "", err
	}
	// Compiling is fast. A process that ignores its own limit is killed, together with the processes it started.
	ctx, cancel := context.WithTimeout(ctx, limit+5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-vet=off", "-count=1", "-timeout", limit.String(), "-run", "^" + test + "$"}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOFLAGS=-overlay="+filepath.Join(dir, "overlay.json")+" "+os.Getenv("GOFLAGS"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	out, failed := cmd.CombinedOutput()
	text := string(out)
	return fateOf(text, failed), text[max(0, len(text)-4000):], ctx.Err()
}

// invalid are the marks, in what go test prints, of failures that prove nothing.
var invalid = regexp.MustCompile(`\[(build|setup) failed\]|panic: test timed out|no tests to run`)

// fateOf tells from what go test printed, and from how it ended, what became of a mutant.
func fateOf(output string, failed error) string {
	switch mark := invalid.FindString(output); {
	case mark != "":
		return "INVALID: " + mark
	case failed != nil:
		return "killed"
	}
	return "SURVIVED"
}
