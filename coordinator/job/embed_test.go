package job_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAnotherModuleCanEmbedAJob: the example of this package is a program of a module outside of the tree, which knows Sluice by a
// replace line.
func TestAnotherModuleCanEmbedAJob(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	version := regexp.MustCompile(`(?m)^go .*$`).FindString(read(filepath.Join(root, "go.mod")))
	write("go.mod", "module example.com/embeds\n\n"+version+"\n\nrequire sluice v0.0.0\n\nreplace sluice => "+root+"\n")
	write("go.sum", read(filepath.Join(root, "go.sum")))
	source, _, found := strings.Cut(read("example_test.go"), "// The DataSync API, ingested into PostgreSQL")
	if !found {
		t.Fatal("the example has changed: what is embedded here is its beginning")
	}
	source = regexp.MustCompile(`(?m)^\t"(log|os|os/signal|sluice/(fetch|fetch/datasync|fetch/quota|sink))"\n`).ReplaceAllString(source, "")
	source = strings.NewReplacer("package job_test", "package main", "func Example()", "func main()").Replace(source)
	write("main.go", source)
	cmd := exec.CommandContext(t.Context(), "go", "run", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOSUMDB=off")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "complete\n") {
		t.Errorf("%v:\n%s", err, out)
	}
}
