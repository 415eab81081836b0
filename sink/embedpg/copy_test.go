package embedpg

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A copied checkout has the address and the pid file of its original, and must not touch the original's server.
func TestCopiedHome(t *testing.T) {
	t.Parallel()
	original := throwaway(t)
	if err := original.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := newDir(t)
	if out, err := exec.Command("cp", "-a", string(original.home)+"/.", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := original.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	duplicate := newServer(home(dir), "", Config{NoSync: true})
	t.Cleanup(func() {
		if err := errors.Join(duplicate.Crash(context.Background()), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.Command("cp", "-a", original.home.data()+"/postmaster.pid", original.home.pgpass(), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Rename(filepath.Join(dir, "postmaster.pid"), duplicate.home.data()+"/postmaster.pid"); err != nil {
		t.Fatal(err)
	}
	if err := duplicate.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if duplicate.PID() == original.PID() || duplicate.URL("x") == original.URL("x") || original.ping(t.Context()) != nil {
		t.Error("the copy took the original's server")
	}
}
