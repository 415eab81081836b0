package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/cmd/sluice/internal/cli"
	"sluice/cmd/sluice/internal/terminal"
	"sluice/fetch/apisim"
	"sluice/sink/pgtest"
)

// canary is the key of all tests: nothing that a run prints may hold it.
const canary = "ds_0123456789abcdefCANARY"

// world is a simulated API, a database, and the program between them.
type world struct {
	t      *testing.T
	sim    *apisim.Server
	serves *atomic.Pointer[apisim.Server] // the API at the address: sim, unless a test has it go on as another
	env    map[string]string

	kept *pgx.Conn // for many questions; nil: each has a session of its own
}

// newWorld starts an API that is unlimited but for what change says, and a database of its own.
func newWorld(t *testing.T, events int64, change func(*apisim.Config)) *world {
	t.Helper()
	config, err := apisim.Profile(apisim.Unlimited)
	if err != nil {
		t.Fatal(err)
	}
	config.Events = events
	if change != nil {
		change(&config)
	}
	sim, err := apisim.New(config)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, sim: sim, serves: new(atomic.Pointer[apisim.Server])}
	w.serves.Store(sim)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.serves.Load().ServeHTTP(rw, r) }))
	t.Cleanup(server.Close)
	w.env = map[string]string{
		cli.EnvAPI: server.URL, cli.EnvKey: canary, cli.EnvDatabase: pgtest.Database(t),
		"SLUICE_SOURCE": config.Source(), "SLUICE_LIST_LIMIT": "none", "SLUICE_STREAM_LIMIT": "none",
	}
	own := w.env[cli.EnvDatabase]
	t.Cleanup(func() { w.guardTables(own) })
	return w
}

// locked is a buffer that several goroutines write to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// ran is how a command ended.
type ran struct {
	code           int
	stdout, stderr string
}

// run runs a command line in this process.
func (w *world) run(args ...string) ran { return w.runContext(context.Background(), args...) }

func (w *world) runContext(ctx context.Context, args ...string) ran {
	w.t.Helper()
	var stdout, stderr locked
	console := terminal.NewConsole(&stderr)
	p := &cli.Program{
		Stdout: &stdout, Stderr: console,
		Environ: func(name string) (string, bool) { v, ok := w.env[name]; return v, ok },
		Exit:    func(code int) { w.t.Errorf("the program left with %d at a second signal", code) },
	}
	r := ran{code: p.Main(ctx, args), stdout: stdout.String(), stderr: stderr.String()}
	w.guard(fmt.Sprintf("the output of %v", args), r.stdout+r.stderr)
	return r
}

// mustRun runs a command line that must end with the given code.
func (w *world) mustRun(code int, args ...string) ran {
	w.t.Helper()
	r := w.run(args...)
	if r.code != code {
		w.t.Fatalf("sluice %s: exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), r.code, code, r.stdout, r.stderr)
	}
	return r
}

// connect opens a session of the world's database.
func (w *world) connect() *pgx.Conn {
	w.t.Helper()
	conn, err := pgx.Connect(context.Background(), w.env[cli.EnvDatabase])
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// keep keeps a session for many questions, until the returned function is called: it costs more than most of them.
func (w *world) keep() func() {
	w.t.Helper()
	w.kept = w.connect()
	return func() {
		_ = w.kept.Close(context.Background())
		w.kept = nil
	}
}

// query returns one row of the database.
func (w *world) query(sql string, args []any, to ...any) {
	w.t.Helper()
	ctx := context.Background()
	conn := w.kept
	if conn == nil {
		conn = w.connect()
		defer conn.Close(ctx)
	}
	if err := conn.QueryRow(ctx, sql, args...).Scan(to...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// number returns what a query for one number says.
func (w *world) number(sql string, args ...any) (n int64) {
	w.t.Helper()
	w.query(sql, args, &n)
	return n
}

// exact checks count and hash of the whole table, and the law of the ledger.
func (w *world) exact() {
	w.t.Helper()
	var got apisim.Sum
	w.query(apisim.TruthSQL, []any{nil, nil}, &got.Rows, &got.Hash)
	var events int64
	w.query(`select coalesce(sum(events), 0)::bigint from ingestion_shards`, nil, &events)
	want := w.sim.Data().Truth(apisim.Past, apisim.Future) // last: of millions it takes a while, and an idle server of a test ends
	if got != want {
		w.t.Errorf("the table has %d rows with hash %s, the source %d with %s", got.Rows, got.Hash, want.Rows, want.Hash)
	}
	if events != want.Rows {
		w.t.Errorf("the ledger has %d events, the table must have %d", events, want.Rows)
	}
}

// pages returns how many page requests the API got.
func (w *world) pages() int64 {
	return w.sim.Counts(apisim.List).Requests + w.sim.Counts(apisim.Feed).Requests
}

// hold runs a statement in a transaction that stays open until the returned function is called.
func (w *world) hold(sql string) func() {
	w.t.Helper()
	ctx := context.Background()
	conn := w.connect()
	if _, err := conn.Exec(ctx, "begin; "+sql); err != nil {
		w.t.Fatal(err)
	}
	return func() { _ = conn.Close(ctx) }
}

// migrated makes sure that the tables are there, and runs a statement.
func (w *world) migrated(sql string) {
	w.t.Helper()
	w.mustRun(cli.ExitOK, "db", "migrate")
	w.exec(sql)
}

// onDatabase returns the same server's URL with another database.
func onDatabase(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// asUser returns the same server's URL with another user.
func asUser(t *testing.T, address, name, password string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, password)
	return u.String()
}
