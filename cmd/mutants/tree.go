package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// moduleRoot finds the directory of go.mod, from the working directory up.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod here or above")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// copyTree copies what git knows of the tree at root, and what it would be told of, into a new directory. The changes that
// are not committed yet are in it: a mutant of the code in hand is what one wants to see.
func copyTree(ctx context.Context, root string) (dir string, err error) {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := output(list)
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp("", "sluice-mutants-"); err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
	}
	return dir, nil
}

// copyFile copies a regular file with its mode. One that was deleted and is still in the index is left out.
func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

// patch applies a mutant to the tree in dir, with further options of git apply: --check, --reverse. git finds the place also
// where lines above it came or went.
func patch(ctx context.Context, dir string, m *mutant, options ...string) error {
	args := append([]string{"apply", "--whitespace=nowarn"}, options...)
	git := exec.CommandContext(ctx, "git", append(args, m.file)...)
	git.Dir = dir
	if _, err := output(git); err != nil {
		return fmt.Errorf("the patch does not apply: %w", err)
	}
	return nil
}

// output runs a command and returns what it printed, or an error with what it complained about.
func output(cmd *exec.Cmd) ([]byte, error) {
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[:2], " "), err, strings.Join(strings.Fields(complaint.String()), " "))
	}
	return out, nil
}
