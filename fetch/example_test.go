package fetch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"sluice/fetch"
	"sluice/fetch/quota"
	"sluice/shard"
)

// cursorAPI describes a small API: GET /calls?limit=100&after=CURSOR answers {"calls": [...], "next": CURSOR}, newest call first,
// and every door serves the same calls at a path of its own.
type cursorAPI struct {
	base  string
	doors []shard.Endpoint
	key   fetch.Secret
}

func (c *cursorAPI) First(shard.Position) (fetch.Question, []shard.Page) {
	return fetch.Question{Start: shard.FromTop}, nil
}

func (c *cursorAPI) Doors(context.Context, *fetch.Question) ([]shard.Endpoint, error) {
	return c.doors, nil
}

func (c *cursorAPI) Request(ctx context.Context, q *fetch.Question, door shard.Endpoint, records int) (*fetch.Request, error) {
	query := url.Values{"limit": {strconv.Itoa(records)}, "after": {q.Cursor}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/%s?%s", c.base, door, query.Encode()), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	return &fetch.Request{Request: req, Secrets: []string{c.key.Reveal()}}, nil
}

func (c *cursorAPI) Quota(a *fetch.Answer) quota.Answer { return a.Quota() }

func (c *cursorAPI) Page(q *fetch.Question, a *fetch.Answer) (fetch.Page, error) {
	if a.Status != http.StatusOK {
		return fetch.Page{}, a.Fault(q, fmt.Errorf("%s: status %d", a.Door, a.Status))
	}
	var body struct {
		Calls []call  `json:"calls"`
		Next  *string `json:"next"`
	}
	if err := json.Unmarshal(a.Body(), &body); err != nil {
		return fetch.Page{}, &shard.TransientError{Err: a.Plain(err)}
	}
	var page fetch.Page
	for _, c := range body.Calls {
		page.Events = append(page.Events, shard.Event{ID: c.ID, At: shard.Instant(c.AtMS * 1000), Name: c.Ship})
	}
	if page.Received = len(page.Events); body.Next != nil {
		page.More, page.Cursor = true, *body.Next
	}
	return page, nil
}

// call is a record of the API: a ship calls at a port.
type call struct {
	ID   uuid.UUID `json:"id"`
	AtMS int64     `json:"at"`
	Ship string    `json:"ship"`
}

// serveCalls is the other side: an API with a number of calls, a second apart.
func serveCalls(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.FormValue("limit"))
		first, _ := strconv.Atoi(r.FormValue("after"))
		end := min(n, first+limit)
		calls, next := []call{}, (*string)(nil)
		for i := first; i < end; i++ {
			id := uuid.UUID{15: byte(i), 14: byte(i >> 8)}
			calls = append(calls, call{ID: id, AtMS: 1_800_000_000_000 - int64(i)*1000, Ship: fmt.Sprintf("ship %d", n-i)})
		}
		if end < n {
			cursor := strconv.Itoa(end)
			next = &cursor
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"calls": calls, "next": next})
	}
}

// A description of an API, an address and a pacer make a client, which walks its pages from the newest to the oldest.
func Example() {
	server := httptest.NewServer(serveCalls(5))
	defer server.Close()
	pacer, err := quota.NewPacer(quota.Config{Quotas: []quota.Spec{{Name: "arrivals", Limit: quota.Limit{N: quota.Unlimited}}}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	api := &cursorAPI{base: server.URL, doors: []shard.Endpoint{"arrivals"}, key: "secret"}
	client, err := fetch.New(fetch.Config{Host: "127.0.0.1", PageSize: 2, Pacer: pacer}, api)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	for page, err := range client.Pages(context.Background(), shard.Position{End: shard.Future}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, e := range page.Events {
			fmt.Println(e.At, e.Name)
		}
	}
	// Output:
	// 2027-01-15T08:00:00Z ship 5
	// 2027-01-15T07:59:59Z ship 4
	// 2027-01-15T07:59:58Z ship 3
	// 2027-01-15T07:59:57Z ship 2
	// 2027-01-15T07:59:56Z ship 1
}
