package pgtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"sluice/sink/embedpg"
)

// The watch ends an unused server, and there is only one watch.
func TestWatchEndsAnUnusedServer(t *testing.T) {
	t.Parallel()
	s := NewServer(t, Options{})
	restart, err := embedpg.At(s.dir, embedpg.Config{NoSync: true}) // without the watch of a usual test server
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := restart.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := watchFor(t.Context(), restart, grace{idle: 1, kept: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for began := time.Now(); restart.PID() != 0; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the server still lives")
		}
	}
	if err := restart.Start(t.Context()); err != nil {
		t.Fatalf("start after the end by the watch: %v", err)
	}
}

// What the watch asks before it ends a server: the lock that every user shares.
func TestAUserKeepsTheWatchAway(t *testing.T) {
	t.Parallel()
	s := NewServer(t, Options{})
	idle := func() bool {
		return query[bool](t, s.URL("postgres"), fmt.Sprintf(`select pg_try_advisory_lock(%d)`, usersLock))
	}
	if !idle() {
		t.Error("an unused server is not idle")
	}
	conn, err := use(t.Context(), s.Server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if idle() {
		t.Error("a server in use is idle")
	}
	if !query[bool](t, s.URL("postgres"), fmt.Sprintf(`select exists (select from pg_locks where locktype = 'advisory' and objid = %d)`, watchLock)) {
		t.Error("a server in use has no watch")
	}
}
