// Sluice loads every event of the DataSync Analytics API into PostgreSQL: in parallel time windows, within the API's rate limits,
// exactly once, resumable at every page.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"runtime/debug"
	"strings"

	"sluice/cmd/sluice/internal/cli"
	"sluice/cmd/sluice/internal/terminal"
)

// version is set by the linker.
var version = "dev"

func main() {
	log.SetOutput(io.Discard) // net/http logs there what an API sends unasked, 64 KiB of it
	p := &cli.Program{
		Stdout: os.Stdout, Stderr: terminal.NewConsole(os.Stderr), Environ: os.LookupEnv, Names: environment, Exit: os.Exit, Version: version,
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		p.LimitHeap = func(bytes int64) { debug.SetMemoryLimit(bytes) }
		p.LimitHeap(224 << 20)
	}
	os.Exit(p.Main(context.Background(), os.Args[1:]))
}

// environment returns the names of all variables.
func environment() (names []string) {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		names = append(names, name)
	}
	return names
}
