//go:build failpoints

package failpoint

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// fuse is what happens at a point.
type fuse struct {
	action string
	at     int64 // at which pass: 1 is the first
	passed atomic.Int64
}

// fuses are those that SLUICE_FAILPOINTS sets, by point.
var fuses = sync.OnceValue(func() map[string][]*fuse {
	set := map[string][]*fuse{}
	for _, word := range strings.FieldsFunc(os.Getenv("SLUICE_FAILPOINTS"), func(r rune) bool { return r == ',' }) {
		name, rest, _ := strings.Cut(word, ":")
		action, times, _ := strings.Cut(rest, "@")
		at, err := strconv.ParseInt(cmp.Or(times, "1"), 10, 64)
		if err != nil || at < 1 || name != "*" && !known(name) || !slices.Contains(actions, action) {
			panic(fmt.Sprintf("SLUICE_FAILPOINTS: %q is not point:action@times", word))
		}
		for _, p := range Points {
			if name == "*" || name == p.Name {
				set[p.Name] = append(set[p.Name], &fuse{action: action, at: at})
			}
		}
	}
	return set
})

var actions = []string{"kill", "stop", "term", "panic", "exit", "seen"}

func known(name string) bool {
	return slices.ContainsFunc(Points, func(p Point) bool { return p.Name == name })
}

// Hit passes a point, and does what SLUICE_FAILPOINTS says about it.
func Hit(name string) {
	if !known(name) {
		panic("no such fail point: " + name)
	}
	for _, f := range fuses()[name] {
		if f.passed.Add(1) == f.at {
			f.burn(name)
		}
	}
}

func (f *fuse) burn(name string) {
	fmt.Fprintln(os.Stderr, "fail point", name)
	switch f.action {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // do nothing more while the signal is on its way
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(100 * time.Millisecond) // the signal may reach another thread first; this one must not pass the point
	case "term":
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	case "panic":
		panic("fail point " + name)
	case "exit":
		os.Exit(1)
	}
}

// Sent returns a dial whose connections pass the point after every write that contains the text.
func Sent(dial Dial, text, name string) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &tapped{conn, []byte(text), name}, nil
	}
}

// tapped is a connection whose writes are inspected.
type tapped struct {
	net.Conn
	text []byte
	name string
}

func (t *tapped) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	if err == nil && bytes.Contains(b, t.text) {
		Hit(t.name)
	}
	return n, err
}
