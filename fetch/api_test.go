package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/fetch"
	"sluice/fetch/quota"
	"sluice/shard"
)

// limiter stands before an API and allows each door a number of requests in any stretch of time as long as window.
type limiter struct {
	next   http.Handler
	window time.Duration
	limits map[string]int

	mu      sync.Mutex
	came    map[string][]time.Time
	refused int
}

func (l *limiter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	door, now := strings.Trim(r.URL.Path, "/"), time.Now()
	l.mu.Lock()
	l.came[door] = append(l.came[door], now)
	recent := 0
	for _, at := range l.came[door] {
		if now.Sub(at) < l.window {
			recent++
		}
	}
	allowed := recent <= l.limits[door]
	if !allowed {
		l.refused++
	}
	l.mu.Unlock()
	if !allowed {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	l.next.ServeHTTP(w, r)
}

// newClient returns a client of a cursorAPI, or of what describes it instead, with the quotas given.
func newClient(t *testing.T, api fetch.API, config fetch.Config, quotas ...quota.Spec) *fetch.Client {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	pacer, err := quota.NewPacer(quota.Config{Quotas: quotas, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	config.Pacer, config.Log = pacer, log
	client, err := fetch.New(config, api)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		for _, q := range pacer.Status() {
			if q.InFlight != 0 {
				t.Errorf("%s: %d slots were neither observed nor returned", q.Name, q.InFlight)
			}
		}
	})
	return client
}

// names walks a client's pages to the end and returns the names of the events.
func names(t *testing.T, client *fetch.Client) (names []string) {
	t.Helper()
	for page, err := range client.Pages(t.Context(), shard.Position{End: shard.Future}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			names = append(names, e.Name)
		}
	}
	return names
}

// ships returns the names of n calls, newest first.
func ships(n int) (names []string) {
	for i := n; i > 0; i-- {
		names = append(names, fmt.Sprintf("ship %d", i))
	}
	return names
}

// TestThreeDoorsEachWithAQuota: the Client and the Pacer know of doors only what the description says. Twelve requests a second are
// to be had at three doors together, and 24 pages are read without a refusal.
func TestThreeDoorsEachWithAQuota(t *testing.T) {
	const calls, pageSize, window = 120, 5, time.Second
	server := &limiter{
		next: serveCalls(calls), window: window, limits: map[string]int{"arrivals": 3, "roads": 4, "archive": 5}, came: map[string][]time.Time{},
	}
	listener := httptest.NewServer(server)
	defer listener.Close()
	api := &cursorAPI{base: listener.URL, key: "secret"}
	var quotas []quota.Spec
	for _, door := range []string{"arrivals", "roads", "archive"} {
		api.doors = append(api.doors, shard.Endpoint(door))
		quotas = append(quotas, quota.Spec{Name: door, Limit: quota.Limit{N: server.limits[door], Window: window}})
	}
	client := newClient(t, api, fetch.Config{Host: "127.0.0.1", PageSize: pageSize}, quotas...)
	if got := names(t, client); !slices.Equal(got, ships(calls)) {
		t.Errorf("read %d calls, want %d in order: %v", len(got), calls, got)
	}
	if server.refused > 0 {
		t.Errorf("%d requests were refused", server.refused)
	}
	traffic, requests := client.Traffic(), 0
	for door, limit := range server.limits {
		n := len(server.came[door])
		if requests += n; n < limit || traffic.Doors[shard.Endpoint(door)].Requests != int64(n) {
			t.Errorf("%s: %d requests came, want at least %d; the client counts %+v", door, n, limit, traffic.Doors)
		}
	}
	if requests != calls/pageSize {
		t.Errorf("%d requests for %d pages", requests, calls/pageSize)
	}
}

// scripted is a cursorAPI of which a test changes parts.
type scripted struct {
	*cursorAPI
	request func(door shard.Endpoint) error
	page    func(a *fetch.Answer) error
}

func (s *scripted) Request(ctx context.Context, q *fetch.Question, door shard.Endpoint, records int) (*fetch.Request, error) {
	if s.request != nil {
		if err := s.request(door); err != nil {
			return nil, err
		}
	}
	return s.cursorAPI.Request(ctx, q, door, records)
}

func (s *scripted) Page(q *fetch.Question, a *fetch.Answer) (fetch.Page, error) {
	if s.page != nil {
		if err := s.page(a); err != nil {
			return fetch.Page{}, err
		}
	}
	return s.cursorAPI.Page(q, a)
}

// newScripted returns a description with two doors without limits, and its client.
func newScripted(t *testing.T, calls int) (*scripted, *fetch.Client) {
	t.Helper()
	server := httptest.NewServer(serveCalls(calls))
	t.Cleanup(server.Close)
	api := &scripted{cursorAPI: &cursorAPI{base: server.URL, doors: []shard.Endpoint{"first", "second"}, key: "secret"}}
	none := quota.Limit{N: quota.Unlimited}
	return api, newClient(t, api, fetch.Config{Host: "127.0.0.1", PageSize: 4}, quota.Spec{Name: "first", Limit: none}, quota.Spec{Name: "second", Limit: none})
}

func TestAClosedDoorIsLeft(t *testing.T) {
	api, client := newScripted(t, 10)
	api.page = func(a *fetch.Answer) error {
		if a.Door == "first" { // as with a status that says so
			api.doors = api.doors[1:]
			return fetch.ErrAgain
		}
		return nil
	}
	if got := names(t, client); !slices.Equal(got, ships(10)) {
		t.Errorf("read %v", got)
	}
	if doors := client.Traffic().Doors; doors["first"].Requests != 1 || doors["second"].Requests != 3 {
		t.Errorf("%+v, want one request at the door that closed, and three at the other", doors)
	}
}

// TestADoorThatClosesInTheQueueCostsNoRequest: the slot is given back, which newClient checks at the end.
func TestADoorThatClosesInTheQueueCostsNoRequest(t *testing.T) {
	api, client := newScripted(t, 10)
	api.request = func(door shard.Endpoint) error {
		if door == "first" {
			api.doors = api.doors[1:]
			return fetch.ErrShut
		}
		return nil
	}
	if got := names(t, client); !slices.Equal(got, ships(10)) {
		t.Errorf("read %v", got)
	}
	if doors := client.Traffic().Doors; doors["first"].Requests != 0 || doors["second"].Requests != 3 {
		t.Errorf("%+v, want all requests at the second door", doors)
	}
}

func TestAQuestionIsNotPutAgainForEver(t *testing.T) {
	api, client := newScripted(t, 10)
	asked := 0
	api.page = func(a *fetch.Answer) error {
		if asked++; a.Again != asked-1 {
			t.Errorf("answer %d says that the question was put again %d times", asked, a.Again)
		}
		return fetch.ErrAgain
	}
	if _, err := client.Ask(t.Context(), &fetch.Question{Start: shard.FromTop}); !errors.Is(err, fetch.ErrAgain) || asked != 9 {
		t.Errorf("%v after %d requests", err, asked)
	}
}

// TestATooLargePageIsHalved: whoever says that it is too large, the transport or the description.
func TestATooLargePageIsHalved(t *testing.T) {
	api, client := newScripted(t, 10)
	var sizes []string
	api.page = func(a *fetch.Answer) error {
		sizes = append(sizes, fmt.Sprint(strings.Count(string(a.Body()), `"id"`)))
		if strings.Contains(string(a.Body()), `"ship 9"`) && strings.Contains(string(a.Body()), `"ship 8"`) {
			return fetch.ErrLarge
		}
		return nil
	}
	if got := names(t, client); !slices.Equal(got, ships(10)) {
		t.Errorf("read %v", got)
	}
	if got := strings.Join(sizes, " "); got != "4 2 4 4" {
		t.Errorf("answers with %s calls", got)
	}
}

// TestTransientFaultsAreTriedAgain: three times in a row, and not if the fault says how long to wait.
func TestTransientFaultsAreTriedAgain(t *testing.T) {
	for after, want := range map[time.Duration]int{0: 3, time.Minute: 1} {
		api, client := newScripted(t, 10)
		asked := 0
		api.page = func(*fetch.Answer) error {
			asked++
			return &shard.TransientError{Err: errors.New("not now"), After: after}
		}
		_, err := client.Ask(t.Context(), &fetch.Question{Start: shard.FromTop})
		var transient *shard.TransientError
		if !errors.As(err, &transient) || asked != want || client.Traffic().Retries != int64(want-1) {
			t.Errorf("after %s: %v, %d requests, want %d", after, err, asked, want)
		}
	}
}
