package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/singleflight"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// errStreamRefused: the API does not let us at the stream, and would not if asked again.
var errStreamRefused = errors.New("the API refuses access to the stream")

// access is what opens the stream: its address, and a token good for about 300 s.
type access struct {
	endpoint *url.URL
	header   string
	token    Secret
	renew    time.Time // from here on a new one is fetched
	expires  time.Time
}

// secrets returns what a request with the access carries beside the key.
func (a *access) secrets() []string {
	if a == nil {
		return nil
	}
	return []string{a.token.Reveal()}
}

// tokens holds the one access that all fetchers share.
type tokens struct {
	client *Client
	flight singleflight.Group

	mu      sync.Mutex
	current *access
	refused error     // for good
	again   time.Time // after a fault that passes, not before
	fault   error
}

// tokenPause is how long a failed request for access is not repeated, so that the list goes on meanwhile.
const tokenPause = 3 * time.Second

// get returns an access that is good now, and fetches one if there is none. All callers share one request.
func (t *tokens) get(ctx context.Context) (*access, error) {
	if a, err, settled := t.peek(); settled {
		return a, err
	}
	result := t.flight.DoChan("", func() (any, error) {
		if a, err, settled := t.peek(); settled {
			return a, err
		}
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), t.client.config.HeaderTimeout,
			errors.New("the request for stream access took too long"))
		defer cancel()
		return t.settle(t.client.requestAccess(ctx))
	})
	select {
	case r := <-result:
		a, _ := r.Val.(*access)
		return a, r.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// peek returns what is known without asking.
func (t *tokens) peek() (a *access, err error, settled bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case t.refused != nil:
		return nil, t.refused, true
	case t.current != nil && now.Before(t.current.renew):
		return t.current, nil, true
	case now.Before(t.again) && t.current != nil && now.Before(t.current.expires):
		return t.current, nil, true
	case now.Before(t.again):
		return nil, t.fault, true
	}
	return nil, nil, false
}

func (t *tokens) settle(a *access, err error) (*access, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.current = a
	case errors.Is(err, errStreamRefused):
		t.refused = err
	default:
		t.again, t.fault = time.Now().Add(tokenPause), err
		if t.current != nil && time.Now().Before(t.current.expires) {
			return t.current, nil
		}
	}
	return a, err
}

// drop forgets an access that the API did not take.
func (t *tokens) drop(a *access) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == a {
		t.current = nil
	}
}

// requestAccess asks for access as the dashboard's page does; the API lets nobody else in.
func (c *Client) requestAccess(ctx context.Context) (*access, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.origin.JoinPath(accessPath).String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	c.identify(req)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", c.origin.String())
	req.Header.Set("Referer", c.origin.String()+"/")
	req.Header.Set("X-Requested-With", "XMLHttpRequest")
	req.Header.Set("X-Dashboard-Session", "true")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.AddCookie(&http.Cookie{Name: "dashboard_api_key", Value: c.config.Key.Reveal()})
	sent := time.Now()
	a, err := c.roundTrip(req, maxRecord)
	if err != nil {
		return nil, err
	}
	defer a.free()
	c.count.access.Add(1)
	switch {
	case a.status == http.StatusOK:
		return c.parseAccess(a.raw.Bytes(), sent)
	case a.status == http.StatusForbidden || a.status == http.StatusNotFound:
		return nil, fmt.Errorf("%w: %s", errStreamRefused, a.complaint())
	}
	return nil, a.fault(false)
}

func (c *Client) parseAccess(raw []byte, sent time.Time) (*access, error) {
	var reply struct {
		StreamAccess struct {
			Endpoint    string  `json:"endpoint"`
			Token       string  `json:"token"`
			ExpiresIn   float64 `json:"expiresIn"`
			TokenHeader string  `json:"tokenHeader"`
		} `json:"streamAccess"`
	}
	if err := json.Unmarshal(raw, &reply); err != nil {
		return nil, &shard.TransientError{Err: fmt.Errorf("read the stream access: %w", err)}
	}
	given := reply.StreamAccess
	endpoint, err := resolveEndpoint(c.origin, given.Endpoint)
	if err == nil {
		err = checkTokenHeader(given.TokenHeader)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errStreamRefused, err)
	}
	failpoint.Hit("access.got")
	life := time.Duration(min(max(given.ExpiresIn, 1), 3600) * float64(time.Second))
	return &access{
		endpoint: endpoint, header: given.TokenHeader, token: Secret(given.Token),
		renew: sent.Add(life - min(45*time.Second, life/5)), expires: sent.Add(life),
	}, nil
}
