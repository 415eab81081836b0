package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// pieceEvents is how many events of a large response make one Page.
const pieceEvents = 5000

// Pages walks from a place towards the past. See shard.Source.
func (c *Client) Pages(ctx context.Context, from shard.Position) iter.Seq2[shard.Page, error] {
	return func(yield func(shard.Page, error) bool) {
		q := c.ask(from)
		for {
			pages, err := c.answer(ctx, &q)
			if err != nil {
				yield(shard.Page{}, err)
				return
			}
			for _, page := range pages {
				if !yield(page, nil) {
					return
				}
			}
			last := pages[len(pages)-1]
			switch {
			case !last.More:
				return
			case last.Cursor == "":
				yield(shard.Page{}, fmt.Errorf("%w: the API promises more and gives no cursor", shard.ErrCursorDead))
				return
			}
			q = question{start: shard.ByCursor, cursor: last.Cursor, expires: last.CursorExpires, most: c.fitting(&q, pages)}
		}
	}
}

// answer answers a question with the page that the survey kept, or else asks the API.
func (c *Client) answer(ctx context.Context, q *question) ([]shard.Page, error) {
	if pages := c.newest.take(q); pages != nil {
		return pages, nil
	}
	return c.fetch(ctx, q)
}

// fetch gets one page, trying again what is worth it. Reading and decoding are part of a try.
func (c *Client) fetch(ctx context.Context, q *question) ([]shard.Page, error) {
	for try := 1; ; try++ {
		pages, err := c.try(ctx, *q)
		for errors.Is(err, errLarge) && c.halve(q) {
			pages, err = c.try(ctx, *q)
		}
		var transient *shard.TransientError
		if err == nil || !errors.As(err, &transient) || try >= c.config.Tries || transient.After > 0 {
			return pages, err
		}
		c.count.retries.Add(1)
		c.config.Log.Debug("page request failed, trying again", "try", try, "err", err)
		shard.EnterPhase(ctx, shard.BackingOff)
		if err := shard.Sleep(ctx, c.backoff(q, try)); err != nil {
			return nil, err
		}
		shard.EnterPhase(ctx, shard.Fetching)
	}
}

// backoff draws the pause before the next try. It is a function of the client's seed and of the question, not of what others
// ask meanwhile.
func (c *Client) backoff(q *question, try int) time.Duration {
	return time.Duration((0.5 + c.draw(q, try)) * float64(100*time.Millisecond) * float64(int(1)<<try))
}

// draw returns a number from 0 to 1, always the same for the same question, purpose and client.
func (c *Client) draw(q *question, purpose int) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, q.cursor, q.until, purpose)
	return rand.New(rand.NewPCG(c.config.Seed, h.Sum64())).Float64()
}

// try puts a question once. Refusals for want of quota do not count: they are waited out, and the question is put again.
func (c *Client) try(ctx context.Context, q question) ([]shard.Page, error) {
	renewed := false
	for {
		call, access, err := c.admit(ctx, &q)
		if err != nil {
			return nil, err
		}
		failpoint.Hit("quota.taken")
		a, err := c.send(ctx, &q, call, access)
		if err != nil {
			return nil, err
		}
		switch {
		case a.status == http.StatusOK:
			pages, err := c.pages(a, &q, call)
			a.free()
			return pages, err
		case a.status == http.StatusTooManyRequests:
			c.count.refused[endpointOf(call.Quota)].Add(1)
			c.config.Log.Debug("refused for want of quota", "endpoint", endpointOf(call.Quota), "retry_after", a.retryAfter())
		case a.status == http.StatusForbidden && endpointOf(call.Quota) == shard.Stream && !renewed:
			renewed = true
			c.tokens.drop(access)
		default:
			return nil, c.refusal(a, &q, endpointOf(call.Quota))
		}
		a.free()
	}
}

// tokenLimit is how often in a row the stream may refuse a token that was just given out, before the shard fails.
const tokenLimit = 5

// refusal returns what a status means that no waiting mends, and remembers what it tells of the API.
func (c *Client) refusal(a *answer, q *question, endpoint shard.Endpoint) error {
	defer a.free()
	err := a.fault(q.cursor != "")
	switch {
	case a.status == http.StatusForbidden && endpoint == shard.List:
		return refusedKey(err)
	case a.status == http.StatusForbidden: // with a fresh token, too: somebody else may be taking them out
		return &shard.StuckError{Err: fmt.Errorf("%s: %w", endpoint, err), Limit: tokenLimit}
	case q.made && a.status >= 400 && a.status < 500:
		c.dropMadeCursors(err)
		return fmt.Errorf("%w: %w", shard.ErrCursorDead, err)
	}
	return fmt.Errorf("%s: %w", endpoint, err)
}

func (c *Client) dropMadeCursors(why error) {
	c.config.Log.Warn("the API does not take a cursor that we made", "why", why)
	c.ladder.set(func(caps *Capabilities) { caps.MadeCursors = false })
}

// admit waits until the question may be put to an endpoint, and takes the quota for it.
func (c *Client) admit(ctx context.Context, q *question) (quota.Slot, *access, error) {
	for {
		caps := c.ladder.get()
		access, streamErr := c.openStream(ctx, q, caps)
		usable := func(e shard.Endpoint) bool {
			return q.usable(e, caps) && (e != shard.Stream || access != nil)
		}
		if !usable(shard.List) && !usable(shard.Stream) {
			return quota.Slot{}, nil, c.noDoor(q, streamErr)
		}
		if q.dead() {
			return quota.Slot{}, nil, shard.ErrCursorDead
		}
		shard.EnterPhase(ctx, shard.Pacing)
		call, err := c.pacer.Take(ctx, func(name string) bool { return usable(endpointOf(name)) })
		shard.EnterPhase(ctx, shard.Fetching)
		if err != nil {
			return quota.Slot{}, nil, err
		}
		switch best := c.tokens.best(); {
		case q.dead():
			c.pacer.Return(call)
			return quota.Slot{}, nil, shard.ErrCursorDead
		case endpointOf(call.Quota) == shard.List:
			return call, access, nil
		case best != nil:
			return call, best, nil
		default:
			c.pacer.Return(call)
		}
	}
}

// openStream returns the access to the stream, or nil and why there is none now.
func (c *Client) openStream(ctx context.Context, q *question, caps Capabilities) (*access, error) {
	if !caps.StreamAccess {
		return nil, errStreamRefused
	}
	access, err := c.tokens.get(ctx, time.Duration(c.draw(q, 0)*float64(time.Millisecond)))
	if errors.Is(err, errStreamRefused) {
		c.config.Log.Warn("the stream is out of reach, the list goes on alone", "why", err)
		c.ladder.set(func(caps *Capabilities) { caps.StreamAccess, caps.UntilStream = false, false })
	}
	return access, err
}

// noDoor says why no endpoint can be asked.
func (c *Client) noDoor(q *question, streamErr error) error {
	var transient *shard.TransientError
	var stop *shard.StopError
	switch {
	case errors.As(streamErr, &transient), errors.As(streamErr, &stop):
		return streamErr
	case streamErr != nil && !errors.Is(streamErr, errStreamRefused):
		return streamErr
	}
	return fmt.Errorf("no endpoint can be asked for what is older than %s: %w",
		time.UnixMilli(q.until).UTC().Format(time.RFC3339Nano), errStreamRefused)
}

// send makes the request of a call and tells the pacer what came of it, exactly once.
func (c *Client) send(ctx context.Context, q *question, call quota.Slot, access *access) (*answer, error) {
	req, err := c.request(ctx, q, endpointOf(call.Quota), access)
	if err != nil {
		c.pacer.Return(call)
		return nil, err
	}
	c.count.requests[endpointOf(call.Quota)].Add(1)
	wire := wire{pacer: c.pacer, call: call}
	a, err := c.roundTrip(req.WithContext(wire.watch(ctx)), c.bodyLimit(), wire.heard, access.secrets()...)
	if err != nil {
		wire.failed()
		return nil, tooLarge(err)
	}
	c.pacer.Observe(call, a.quota())
	c.count.bytes.Add(int64(a.raw.Len()))
	c.count.busy.Add(int64(a.took))
	return a, nil
}

// tooLarge: a page that is too large would be so again.
func tooLarge(err error) error {
	var transient *shard.TransientError
	if errors.Is(err, errLarge) && errors.As(err, &transient) {
		return &shard.StuckError{Err: transient.Err, Limit: poisonLimit}
	}
	return err
}

func (c *Client) request(ctx context.Context, q *question, e shard.Endpoint, access *access) (*http.Request, error) {
	u := c.origin.JoinPath(listPath)
	if e == shard.Stream {
		u = access.endpoint.JoinPath()
	}
	params := url.Values{"limit": {strconv.Itoa(c.records(q))}}
	if q.cursor != "" {
		params.Set("cursor", q.cursor)
	}
	if q.start == shard.ByUntil {
		params.Set("until", strconv.FormatInt(q.until, 10))
	}
	u.RawQuery = params.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), unrepeatable{})
	if err != nil {
		return nil, err
	}
	c.identify(req)
	if e == shard.Stream {
		req.Header.Set(access.header, access.token.Reveal())
	}
	return req, nil
}

// limit returns how many records to ask for. What must differ from an earlier request differs below what is given now.
func (c *Client) limit(vary int) int {
	size := c.config.PageSize
	if granted := int(c.granted.Load()); granted > 0 {
		size = min(size, granted)
	}
	if given := int(c.given.Load()); vary > 0 && given > 0 {
		size = min(size, given)
	}
	return max(1, size-vary)
}

// bodyLimit is what a body may have at most, after decompression, in bytes.
func (c *Client) bodyLimit() int64 {
	const smallest, perRecord = 16 << 20, 4 << 10
	return min(max(smallest, perRecord*int64(c.limit(0))), max(smallest, c.config.MaxBody))
}
