package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// children are what the bench runs of itself as processes of their own, so that their CPU and their memory can be told from
// the bench's. Each reads from the API and writes into the database that the environment names, as the program does.
var children = map[string]func(ctx context.Context, p place, stdout io.Writer) error{
	"old-way":     oldWay,
	"allocations": allocations,
}

// place is where a child works.
type place struct {
	api, database string
	shards        int
	profile       string // a file for the client's CPU profile
}

// placeVariable hands a child what the environment of the program has no names for.
const placeVariable = "BENCH_PLACE"

// runChild is main of a child.
func runChild(ctx context.Context, name string) error {
	p := place{api: os.Getenv("API_BASE_URL"), database: os.Getenv("DATABASE_URL")}
	if _, err := fmt.Sscanf(os.Getenv(placeVariable), "%d %q", &p.shards, &p.profile); err != nil {
		return fmt.Errorf("%s is started by the bench alone: %w", name, err)
	}
	return children[name](ctx, p, os.Stdout)
}

// child prepares a call of one.
func (w *world) child(ctx context.Context, name string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	more := fmt.Sprintf("%s=%d %q", placeVariable, w.shards, w.path(w.profile))
	return command(ctx, self, append(w.environ(), more), name), nil
}

func writeJSON(w io.Writer, v any) error {
	return json.NewEncoder(w).Encode(v)
}
