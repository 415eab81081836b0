package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"sluice/shard"
)

// errStreamRefused: the API does not let us at the stream, and would not if asked again.
var errStreamRefused = errors.New("the API refuses access to the stream")

// errAccessLate passes: a door that hangs must not fail a shard.
var errAccessLate = &shard.TransientError{Err: errors.New("the request for stream access took too long")}

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
	faults  int // in a row
}

// tokenPause is how long a failed request for access is not repeated, so that the list goes on meanwhile: twice as long with
// every failure, up to 48 s, because one that hangs holds up all fetchers.
const tokenPause, tokenDoublings = 3 * time.Second, 4

// get returns an access that is good now, and fetches one if there is none. All callers share one request; after it they go on
// each in his time, and not all in the same moment, when chance would decide who comes first.
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
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), t.client.config.HeaderTimeout, errAccessLate)
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

// carried is a panic on its way from the goroutine of the shared request to those who wait for it, where it can be caught.
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

// best returns the best access that is to be had without asking, nil if there is none. It is for those who have a slot of the
// quota after a long wait, in which another access may have come: going back for it would cost the slot's time, once for each
// fetcher in line. So they take one whose renewal is due as well, while half of the time for that is left.
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
	switch {
	case err == nil:
		t.current, t.faults = a, 0
	case errors.Is(err, errStreamRefused):
		t.refused = err
	default:
		pause := max(tokenPause<<min(t.faults, tokenDoublings), told(err))
		t.again, t.fault, t.faults = time.Now().Add(pause), err, t.faults+1
		if t.current != nil && time.Now().Before(t.current.expires) {
			return t.current, nil
		}
	}
	return a, err
}

// told returns how long the API wants to be left alone.
func told(err error) time.Duration {
	var transient *shard.TransientError
	if errors.As(err, &transient) {
		return transient.After
	}
	return 0
}

// drop forgets an access that the API did not take.
func (t *tokens) drop(a *access) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == a {
		t.current = nil
	}
}
