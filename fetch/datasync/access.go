package datasync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/singleflight"

	"sluice/fetch"
	"sluice/shard"
	"sluice/shard/failpoint"
)

const (
	accessPath  = "/internal/dashboard/stream-access"
	maxEndpoint = 2 << 10 // bytes of the stream's address
)

// errStreamRefused means that the API gives no access to the stream.
var errStreamRefused = errors.New("the API refuses access to the stream")

// errAccessLate is transient: a request for access that hangs must not fail a shard.
var errAccessLate = &shard.TransientError{Err: errors.New("the request for stream access took too long")}

// access is what opens the stream: its address, and a token good for about 300 s.
type access struct {
	endpoint *url.URL
	header   string
	token    fetch.Secret
	renew    time.Time // from here on a new one is fetched
	expires  time.Time
}

// tokens holds the one access that all fetchers share.
type tokens struct {
	client *Client
	flight singleflight.Group

	mu      sync.Mutex
	current *access
	again   time.Time // no request before this, because the last one failed
	fault   error     // of the last request
	faults  int       // in a row
}

// tokenPause is how long a failed request for access is not repeated, so that the list goes on meanwhile. It doubles with every
// failure, because a request that hangs holds up all fetchers: up to 48 s after a fault, up to 13 minutes after a refusal.
const tokenPause, faultDoublings, refusalDoublings = 3 * time.Second, 4, 8

// get returns an access that is good now, and fetches one if there is none. All callers share one request. Afterwards each waits
// for a time of its own: if all went on in the same moment, chance would decide which comes first.
func (t *tokens) get(ctx context.Context, after time.Duration) (*access, error) {
	if a, err, settled := t.peek(); settled {
		return a, err
	}
	if err := t.client.pacer.Pause.Wait(ctx); err != nil {
		return nil, err
	}
	result := t.flight.DoChan("", func() (val any, err error) {
		defer func() {
			if r := recover(); r != nil {
				val = carried{r, debug.Stack()}
			}
		}()
		if a, err, settled := t.peek(); settled {
			return a, err
		}
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), t.client.config.Fetch.HeaderTimeout, errAccessLate)
		defer cancel()
		return t.settle(t.client.requestAccess(ctx))
	})
	select {
	case r := <-result:
		if c, panicked := r.Val.(carried); panicked {
			panic(fmt.Sprintf("%v\n%s", c.value, c.stack))
		}
		if err := shard.Sleep(ctx, after); err != nil {
			return nil, err
		}
		a, _ := r.Val.(*access)
		return a, r.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// carried is a panic on its way from the goroutine of the shared request to the goroutines that wait for it, where it is caught.
type carried struct {
	value any
	stack []byte
}

// peek returns what is known without asking.
func (t *tokens) peek() (a *access, err error, settled bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case t.current != nil && now.Before(t.current.renew):
		return t.current, nil, true
	case now.Before(t.again) && t.current != nil && now.Before(t.current.expires):
		return t.current, nil, true
	case now.Before(t.again):
		return nil, &shard.TransientError{Err: t.fault, After: t.again.Sub(now)}, true
	}
	return nil, nil, false
}

// best returns the best access that is there without a request, nil if there is none. A fetcher calls it with a slot of the quota
// in hand, after a long wait in which another access may have come: going back for it would waste the slot's time, once for each
// fetcher that waits. So an access whose renewal is due is good as well, while half of the time for that is left.
func (t *tokens) best() *access {
	if a, _, settled := t.peek(); settled {
		return a
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.current; a != nil && time.Now().Before(a.renew.Add(a.expires.Sub(a.renew)/2)) {
		return a
	}
	return nil
}

func (t *tokens) settle(a *access, err error) (*access, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.current, t.fault, t.faults = a, nil, 0
		return a, nil
	}
	doublings := faultDoublings
	if errors.Is(err, errStreamRefused) {
		doublings = refusalDoublings
	}
	pause := max(tokenPause<<min(t.faults, doublings), requestedPause(err))
	if transient := new(shard.TransientError); errors.As(err, &transient) {
		err = transient.Err
	}
	t.again, t.fault, t.faults = time.Now().Add(pause), err, t.faults+1
	if t.current != nil && time.Now().Before(t.current.expires) {
		return t.current, nil
	}
	return nil, &shard.TransientError{Err: err, After: pause}
}

// accessTries is how often in a row access must have been refused until the stream is taken to be out of reach for now.
const accessTries = 3

// shutOut reports whether the API gives no access, time and again.
func (t *tokens) shutOut() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.faults >= accessTries && errors.Is(t.fault, errStreamRefused)
}

// wait keeps the first request for access back, because an earlier run was refused.
func (t *tokens) wait(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.again, t.fault, t.faults = time.Now().Add(d), errStreamRefused, accessTries
}

// requestedPause returns how long the API asked to wait.
func requestedPause(err error) time.Duration {
	if transient, ok := errors.AsType[*shard.TransientError](err); ok {
		return transient.After
	}
	return 0
}

// drop forgets an access that the API refused.
func (t *tokens) drop(a *access) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == a {
		t.current = nil
	}
}

// requestAccess asks for access as the dashboard's page does, which is the only client that the API gives it to.
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
	const largest = 1 << 20
	a, err := c.Exchange(&fetch.Request{Request: req, Secrets: c.secrets(nil)}, largest)
	if err != nil {
		return nil, err
	}
	defer a.Free()
	if a.Status != http.StatusOK {
		return nil, c.accessFault(a)
	}
	return c.parseAccess(a.Body(), sent)
}

// accessFault returns the meaning of a status other than 200. The pacer knows nothing of these requests, so the time that the API
// asks to wait goes with the fault.
func (c *Client) accessFault(a *fetch.Answer) error {
	err, after := complained(a), retryAfter(a)
	switch {
	case a.Status == http.StatusUnauthorized:
		if c.refused.note(Stream, true, err); c.keyIsWrong() {
			return refusedKey(err)
		}
		after = max(after, refusalPause)
	case a.Status == http.StatusForbidden && after == 0, a.Status == http.StatusNotFound:
		return fmt.Errorf("%w: %w", errStreamRefused, err)
	}
	return &shard.TransientError{Err: err, After: after}
}

// accessReply is the answer to a request for access.
type accessReply struct {
	StreamAccess *struct {
		Endpoint    string         `json:"endpoint"`
		Token       string         `json:"token"`
		ExpiresIn   jsontext.Value `json:"expiresIn"`
		TokenHeader string         `json:"tokenHeader"`
	} `json:"streamAccess"`
}

// parseAccess reads an access that was requested at sent.
func (c *Client) parseAccess(raw []byte, sent time.Time) (*access, error) {
	var reply accessReply
	err := json.Unmarshal(raw, &reply)
	given := reply.StreamAccess
	switch {
	case err != nil:
		return nil, &shard.TransientError{Err: fmt.Errorf("read the stream access: %w", err)}
	case given == nil || given.Token == "": // as with null in place of a page: it may be there the next time
		return nil, &shard.TransientError{Err: errors.New("read the stream access: there is none in the answer")}
	}
	endpoint, err := resolveEndpoint(c.origin, given.Endpoint)
	if err := cmp.Or(err, checkTokenHeader(given.TokenHeader), checkHeaderValue("the API's token", given.Token)); err != nil {
		return nil, fmt.Errorf("%w: %w", errStreamRefused, err)
	}
	failpoint.Hit("access.got")
	life := tokenLife(given.ExpiresIn)
	expires := sent.Add(life)
	renew := expires.Add(-min(45*time.Second, life/5))
	if soonest := time.Now().Add(tokenPause); renew.Before(soonest) {
		renew = soonest
	}
	return &access{endpoint: endpoint, header: given.TokenHeader, token: fetch.Secret(given.Token), expires: expires, renew: renew}, nil
}

// tokenLife reads how many seconds a token lives, within reason: a token that were dead on arrival would be requested again
// without end.
func tokenLife(expiresIn jsontext.Value) time.Duration {
	const shortest, longest = 5, 3600
	seconds, _ := strconv.ParseFloat(strings.Trim(string(expiresIn), `"`), 64) // 0 if it is no number
	if !(seconds > shortest) {                                                 // NaN as well
		seconds = shortest
	}
	return time.Duration(min(seconds, longest) * float64(time.Second))
}

// resolveEndpoint checks the stream's address as the API gave it: the same origin, a path under /api/, nothing hidden in it.
// The key goes wherever this points.
func resolveEndpoint(origin *url.URL, given string) (*url.URL, error) {
	if len(given) > maxEndpoint || strings.ContainsAny(given, "\\\r\n\x00") || given == "" {
		return nil, fmt.Errorf("the stream's endpoint %.100q is malformed", given)
	}
	ref, err := url.Parse(given)
	if err != nil {
		return nil, fmt.Errorf("the stream's endpoint %.100q is malformed", given)
	}
	u := origin.ResolveReference(ref)
	if len(u.String()) > maxEndpoint { // escaped, it may be three times as long
		return nil, fmt.Errorf("the stream's endpoint %.100q is malformed", given)
	}
	clean := path.Clean(u.Path)
	switch {
	case !sameOrigin(origin, u) || u.User != nil || u.Opaque != "":
		return nil, fmt.Errorf("the stream's endpoint %.100q lies on another host than the API", given)
	case clean != u.Path || !strings.HasPrefix(u.Path, "/api/") || strings.Contains(given+u.Path, ".."):
		return nil, fmt.Errorf("the stream's endpoint %.100q is not a plain path under /api/", given)
	case strings.Contains(strings.ToLower(u.EscapedPath()), "%2e"), strings.Contains(strings.ToLower(u.EscapedPath()), "%2f"):
		return nil, fmt.Errorf("the stream's endpoint %.100q hides a part of its path", given)
	}
	return &url.URL{Scheme: u.Scheme, Host: origin.Host, Path: u.Path}, nil
}

func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if strings.EqualFold(u.Scheme, "https") {
		return "443"
	}
	return "80"
}

var headerName = regexp.MustCompile(`^[Xx]-[A-Za-z-]{1,40}$`)

// checkTokenHeader refuses a header for the token that is not a plain X- header, or is one of our own.
func checkTokenHeader(name string) error {
	if !headerName.MatchString(name) || strings.EqualFold(name, "X-API-Key") || strings.EqualFold(name, "X-Requested-With") {
		return fmt.Errorf("the API asks for its token in the header %.60q, which is not allowed", name)
	}
	return nil
}
