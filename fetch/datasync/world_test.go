package datasync

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/fetch"
	"sluice/fetch/apisim"
	"sluice/fetch/quota"
	"sluice/shard"
)

// canary is the key of all clients here. Neither it nor any token may turn up in a log line or an error: every world looks
// for them when it ends.
const canary = "ds_CANARY00112233445566778899aabbccdd"

// world is a client and the API before it, in a bubble of virtual time: minutes of waiting for quota, timeouts and the lives
// of tokens pass at once, and a goroutine that is left behind fails the test. The network between them is in memory, because
// a socket would stop the bubble's clock.
type world struct {
	*Client
	t    *testing.T
	sim  *apisim.Server // nil, if the test answers itself
	pipe *pipes
	text *record
}

// scene says what a world is made of. The zero scene is the whole API without limits, and pages of 100 events.
type scene struct {
	api     apisim.Config
	answer  http.HandlerFunc                                                // instead of the simulator
	listen  func(net.Conn)                                                  // instead of a server of HTTP
	between func(next http.Handler, w http.ResponseWriter, r *http.Request) // before the simulator
	client  fetch.Config
	pacer   quota.Config // zero: neither endpoint is limited, and both are known to be
	caps    Capabilities
}

var (
	unlimited = quota.Config{Quotas: Quotas(quota.Limit{N: quota.Unlimited}, quota.Limit{N: quota.Unlimited})}

	listOnly = Capabilities{PageSize: 100}
	both     = Capabilities{StreamAccess: true, UntilStream: true, PageSize: 100}
)

// play runs a test in a world of its own.
func play(t *testing.T, s scene, test func(*world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, s)
		defer w.end()
		test(w)
	})
}

func newWorld(t *testing.T, s scene) *world {
	t.Helper()
	w := &world{t: t, pipe: newPipes(), text: &record{}}
	switch {
	case s.listen != nil:
		go w.pipe.serveRaw(s.listen)
	case s.answer != nil:
		go w.pipe.serveHTTP(w.watch(s.answer))
	default:
		go w.pipe.serveHTTP(w.watch(w.simulator(s)))
	}
	if len(s.pacer.Quotas) == 0 {
		s.pacer = unlimited
	}
	log := slog.New(slog.NewTextHandler(w.text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.pacer.Log, s.client.Log = log, log
	s.client.Pacer = newTestPacer(t, s.pacer)
	transport := fetch.NewTransport(s.client)
	transport.Proxy, transport.DialContext = nil, w.pipe.dial
	s.client.Transport = transport
	client, err := New(Config{BaseURL: "http://api.test", Key: canary, Fetch: s.client})
	if err != nil {
		t.Fatal(err)
	}
	if s.caps != (Capabilities{}) {
		client.SetCapabilities(s.caps)
	}
	if s.caps == listOnly {
		client.tokens.wait(1000 * time.Hour)
	}
	w.Client = client
	return w
}

func newTestPacer(tb testing.TB, c quota.Config) *quota.Pacer {
	tb.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	p, err := quota.NewPacer(c)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func (w *world) simulator(s scene) http.Handler {
	s.api.PageCap = cmp.Or(s.api.PageCap, 100)
	sim, err := apisim.New(s.api)
	if err != nil {
		w.t.Fatal(err)
	}
	w.sim = sim
	if s.between == nil {
		return sim
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { s.between(sim, rw, r) })
}

// watch notes the tokens that come by.
func (w *world) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.text.guard(r.Header.Get("X-Stream-Token"))
		next.ServeHTTP(rw, r)
	})
}

// end closes the world, and looks for secrets in everything that was logged, and for slots that were not given back.
func (w *world) end() {
	w.Close()
	w.pipe.close()
	time.Sleep(time.Minute) // a server that writes slowly finds out that its client is gone
	w.text.check(w.t)
	for _, q := range w.pacer.Status() {
		if q.InFlight != 0 {
			w.t.Errorf("%s: %d calls were neither observed nor returned", q.Name, q.InFlight)
		}
	}
}

// said keeps an error for the search for secrets, in all its forms.
func (w *world) said(err error) error {
	if err != nil {
		fmt.Fprintf(w.text, "%v\n%+v\n%#v\n%q\n", err, err, err, err)
	}
	return err
}

// top is the place at which the whole API is read.
var top = shard.Position{End: shard.Future}

// No limit of pages, and the speed of the pacer in requests a second.
const forever, quotaSpeed = math.MaxInt64, 5

// walk reads pages from a position until the iterator ends, and no more than the given number.
func (w *world) walk(from shard.Position, most int) (pages []shard.Page, err error) {
	return w.walkWith(w.t.Context(), from, most)
}

func (w *world) walkWith(ctx context.Context, from shard.Position, most int) (pages []shard.Page, err error) {
	for page, err := range w.Pages(ctx, from) {
		if err != nil {
			return pages, w.said(err)
		}
		if pages = append(pages, page); len(pages) == most {
			break
		}
	}
	return pages, nil
}

// ask reads one page from the top.
func (w *world) ask() (shard.Page, error) {
	pages, err := w.walk(shard.Position{End: shard.Future}, 1)
	if err != nil || len(pages) == 0 {
		return shard.Page{}, err
	}
	return pages[0], nil
}

// must fails the test on an error.
func (w *world) must(pages []shard.Page, err error) []shard.Page {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return pages
}

// counts returns what came to an endpoint of the simulator.
func (w *world) counts(e apisim.Endpoint) apisim.Counts { return w.sim.Counts(e) }

// asked returns how many page requests came in.
func (w *world) asked() int {
	return int(w.counts(apisim.List).Requests + w.counts(apisim.Feed).Requests)
}

// queries returns what the simulator was asked at an endpoint, in order.
func (w *world) queries(e apisim.Endpoint) (queries []string) {
	for _, r := range w.sim.Requests() {
		if r.Endpoint == e {
			queries = append(queries, r.Query)
		}
	}
	return queries
}

// truth returns the keys of all events, in the API's order.
func (w *world) truth() []shard.Key {
	data := w.sim.Data()
	keys := make([]shard.Key, data.Events())
	for i := range keys {
		e := data.Event(int64(i))
		keys[i] = shard.Key{At: shard.Instant(e.OrderMS * 1000), ID: e.ID}
	}
	slices.SortFunc(keys, func(a, b shard.Key) int {
		return cmp.Or(cmp.Compare(b.At, a.At), bytes.Compare(b.ID[:], a.ID[:]))
	})
	return keys
}

// wantEvents compares pages with a part of the truth.
func (w *world) wantEvents(pages []shard.Page, want []shard.Key) {
	w.t.Helper()
	var got []shard.Key
	for _, p := range pages {
		for i := range p.Events {
			got = append(got, p.Events[i].Key())
		}
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("read %d events, want %d: %s", len(got), len(want), difference(got, want))
	}
}

func difference(got, want []shard.Key) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("event %d is %s at %s, want %s at %s", i, got[i].ID, got[i].At, want[i].ID, want[i].At)
		}
	}
	return "the shorter is the beginning of the longer"
}

// wantTransient, wantStop, wantStuck and wantPermanent fail the test on an error of another class.
func wantTransient(t *testing.T, err error) *shard.TransientError {
	t.Helper()
	var transient *shard.TransientError
	if !errors.As(err, &transient) {
		t.Fatalf("%v: want a fault that passes", err)
	}
	return transient
}

func wantStop(t *testing.T, err error, reason shard.StopReason) *shard.StopError {
	t.Helper()
	var stop *shard.StopError
	if !errors.As(err, &stop) || stop.Reason != reason {
		t.Fatalf("%v (%#v): want a stop for reason %d", err, err, reason)
	}
	return stop
}

func wantStuck(t *testing.T, err error) {
	t.Helper()
	var stuck *shard.StuckError
	if !errors.As(err, &stuck) {
		t.Fatalf("%v (%#v): want a fault that a few attempts may mend", err, err)
	}
}

func wantPermanent(t *testing.T, err error) {
	t.Helper()
	var transient *shard.TransientError
	var stop *shard.StopError
	var stuck *shard.StuckError
	if err == nil || errors.As(err, &transient) || errors.As(err, &stop) || errors.As(err, &stuck) || errors.Is(err, shard.ErrCursorDead) {
		t.Fatalf("%v (%#v): want an error that fails the shard", err, err)
	}
}

// record keeps all that was logged and said.
type record struct {
	mu      sync.Mutex
	all     bytes.Buffer
	secrets map[string]bool
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.Write(p)
}

func (r *record) guard(secret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.secrets == nil {
		r.secrets = map[string]bool{}
	}
	if len(secret) >= 8 {
		r.secrets[secret] = true
	}
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.String()
}

func (r *record) check(t *testing.T) {
	r.guard(canary)
	text := r.String()
	for secret := range r.secrets {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("a secret was said: …%s…", text[max(0, i-200):min(len(text), i+200)])
		}
	}
}
