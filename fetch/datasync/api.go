package datasync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"sluice/fetch"
	"sluice/fetch/decode"
	"sluice/fetch/quota"
	"sluice/shard"
)

// List and Stream are the doors of the API, named as their quotas.
const (
	List   shard.Endpoint = "list"   // GET /api/v1/events
	Stream shard.Endpoint = "stream" // the feed that a token opens
)

// api is a Client as package fetch sees it: the description of the API.
type api struct{ *Client }

// First climbs the ladder, unless the survey has kept the page that is asked for.
func (c api) First(from shard.Position) (fetch.Question, []shard.Page) {
	q := c.ladder.ask(from)
	return q, c.newest.take(&q)
}

// Doors returns the endpoints that take the question. It gets access to the stream if there is none.
func (c api) Doors(ctx context.Context, q *fetch.Question) (doors []shard.Endpoint, err error) {
	caps := c.ladder.get()
	access, streamErr := c.openStream(ctx, q, caps)
	if caps.usable(q, List) {
		doors = append(doors, List)
	}
	if access != nil && caps.usable(q, Stream) {
		doors = append(doors, Stream)
	}
	if len(doors) > 0 {
		return doors, nil
	}
	if streamErr != nil && !errors.Is(streamErr, errStreamRefused) {
		return nil, streamErr
	}
	return nil, fmt.Errorf("no endpoint can be asked for what is older than %s: %w",
		time.UnixMilli(q.Until).UTC().Format(time.RFC3339Nano), errStreamRefused)
}

// openStream returns the access to the stream, or nil and why there is none now.
func (c api) openStream(ctx context.Context, q *fetch.Question, caps Capabilities) (*access, error) {
	if !caps.StreamAccess {
		return nil, errStreamRefused
	}
	access, err := c.tokens.get(ctx, time.Duration(c.Draw(q, 0)*float64(time.Millisecond)))
	if errors.Is(err, errStreamRefused) {
		c.log.Warn("the stream is out of reach, the list goes on alone", "why", err)
		c.ladder.set(func(caps *Capabilities) { caps.StreamAccess, caps.UntilStream = false, false })
	}
	return access, err
}

// Request builds the request for a page. At the stream it carries the best token that is there without asking for one.
func (c api) Request(ctx context.Context, q *fetch.Question, door shard.Endpoint, records int) (*fetch.Request, error) {
	u := c.origin.JoinPath(listPath)
	access := c.tokens.best()
	if door == Stream {
		if access == nil {
			return nil, fetch.ErrShut
		}
		u = access.endpoint.JoinPath()
	}
	params := url.Values{"limit": {strconv.Itoa(records)}}
	if q.Cursor != "" {
		params.Set("cursor", q.Cursor)
	}
	if q.Start == shard.ByUntil {
		params.Set("until", strconv.FormatInt(q.Until, 10))
	}
	u.RawQuery = params.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	c.identify(req)
	if door == Stream {
		req.Header.Set(access.header, access.token.Reveal())
	}
	return &fetch.Request{Request: req, Secrets: c.secrets(access), Pass: access}, nil
}

// identify puts on a request what every one of them carries.
func (c *Client) identify(req *http.Request) {
	req.Header.Set("X-API-Key", c.config.Key.Reveal())
	req.Header.Set("User-Agent", "Mozilla/5.0 (compatible; sluice/"+c.config.Version+")")
	req.Header.Set("Accept", "application/json")
}

// secrets returns what must not be shown of a request: the key, and the token of an access, unless that is nil.
func (c *Client) secrets(a *access) []string {
	if a == nil {
		return []string{c.config.Key.Reveal()}
	}
	return []string{c.config.Key.Reveal(), a.token.Reveal()}
}

// complaint is the envelope of all errors of the API.
type complaint struct {
	Error     string `json:"error"`
	Message   string `json:"message"`
	Code      string `json:"code"`
	RateLimit struct {
		RetryAfter float64 `json:"retryAfter"`
	} `json:"rateLimit"`
}

func complaintOf(a *fetch.Answer) (said complaint) {
	if len(a.Body()) > 64<<10 || json.Unmarshal(a.Body(), &said) != nil {
		return complaint{}
	}
	return said
}

// complained returns what the API said, in one line and without its control characters.
func complained(a *fetch.Answer) error {
	said := complaintOf(a)
	if said.Code == "" && said.Message == "" {
		return fmt.Errorf("status %d", a.Status)
	}
	return fmt.Errorf("status %d, %.60q: %.200q", a.Status, a.Hide(said.Code), a.Hide(said.Message))
}

// retryAfter returns how long to wait, from the header or the body; 0 if neither gives a time.
func retryAfter(a *fetch.Answer) time.Duration {
	if d, ok := a.RetryAfter(); ok {
		return d
	}
	if s := complaintOf(a).RateLimit.RetryAfter; s > 0 {
		return time.Duration(min(math.Ceil(s), 1e8)) * time.Second
	}
	return 0
}

// cached reports whether the API had given the answer before.
func cached(a *fetch.Answer) bool { return a.Header.Get("X-Cache") == "HIT" }

// Quota reads the usual headers. The time to wait may stand in the body instead.
func (c api) Quota(a *fetch.Answer) quota.Answer {
	said := a.Quota()
	said.Cached = cached(a)
	if said.Refused || a.Status >= 500 {
		said.RetryAfter = retryAfter(a)
	}
	return said
}

// fault returns the meaning of a status other than 200 and 429.
func fault(a *fetch.Answer, q *fetch.Question) error {
	if a.Status == http.StatusUnauthorized {
		return refusedKey(complained(a))
	}
	return a.Fault(q, complained(a))
}

func refusedKey(said error) error {
	return fetch.Refused(said, "check TARGET_API_KEY; a new key with the same source resumes where this one stopped")
}

// Page decodes a page, or says what another status means.
func (c api) Page(q *fetch.Question, a *fetch.Answer) (fetch.Page, error) {
	if a.Status != http.StatusOK {
		return fetch.Page{}, c.refusal(q, a)
	}
	d := c.decoders.Get().(*decode.Decoder)
	d.MaxRecords = decode.SpareRecords + c.PageSize()
	b, err := d.Page(a.Body(), a.Door)
	c.decoders.Put(d)
	if err != nil {
		return fetch.Page{}, unreadable(a, err)
	}
	if q.Note == madeCursor && len(b.Events) > 0 && b.Events[0].Key().Before(q.After) {
		err := errors.New("the page that came back lies elsewhere")
		c.dropMadeCursors(err)
		return fetch.Page{}, fmt.Errorf("%w: %w", shard.ErrCursorDead, err)
	}
	if total, ok := b.Total(); ok {
		c.total.Store(total)
	}
	c.warnOfUnknown(a, b.Unknown)
	page := fetch.Page{Limit: b.Limit(), Page: shard.Page{
		Events: b.Events, Rejects: b.Rejects, Received: b.Received(), Cached: cached(a), More: b.More(), Cursor: b.Cursor(),
	}}
	if life, ok := b.CursorLife(); ok { // by as much less as the answer took: it is not known when on its way the API wrote it
		page.CursorExpires = time.Now().Add(life - min(a.Took, time.Second))
	}
	if made, ok := madeAt(page.Cursor); ok {
		page.Seen = made
	}
	return page, nil
}

// tokenLimit is how often in a row the stream may refuse a token that was just given out, before the shard fails.
const tokenLimit = 5

// refusal returns the meaning of a status other than 200 and 429, and remembers what it says about the API. A token that the stream
// refuses is renewed once.
func (c api) refusal(q *fetch.Question, a *fetch.Answer) error {
	err := fault(a, q)
	switch {
	case a.Status == http.StatusForbidden && a.Door != Stream: // only the stream wants a token beside the key
		return refusedKey(err)
	case a.Status == http.StatusForbidden && a.Again == 0:
		c.tokens.drop(a.Pass.(*access))
		return fetch.ErrAgain
	case a.Status == http.StatusForbidden: // with a fresh token, too: another client may be taking them out
		return &shard.StuckError{Err: fmt.Errorf("%s: %w", a.Door, err), Limit: tokenLimit}
	case q.Note == madeCursor && a.Status >= 400 && a.Status < 500:
		c.dropMadeCursors(err)
		return fmt.Errorf("%w: %w", shard.ErrCursorDead, err)
	}
	return fmt.Errorf("%s: %w", a.Door, err)
}

func (c api) dropMadeCursors(why error) {
	c.log.Warn("the API does not accept a cursor that we made", "why", why)
	c.ladder.set(func(caps *Capabilities) { caps.MadeCursors = false })
}

// unreadable classifies a body that is no page. One that is not the API's JSON (null, a balancer's HTML, a body cut at a bracket)
// is a transient fault; a page whose records cannot be told apart, or that has far too many, would be the same again.
func unreadable(a *fetch.Answer, err error) error {
	err = fmt.Errorf("%s: decode a body of %d bytes: %w", a.Door, len(a.Body()), a.Plain(err))
	if errors.Is(err, decode.ErrTooMany) || errors.Is(err, decode.ErrUnbalanced) && bytes.Contains(a.Body(), []byte(`"pagination"`)) {
		return &shard.StuckError{Err: err, Limit: fetch.PoisonLimit}
	}
	return &shard.TransientError{Err: err}
}

// warnOfUnknown warns once of each field that is not stored.
func (c api) warnOfUnknown(a *fetch.Answer, unknown map[string]int) {
	for name, n := range unknown {
		name = fmt.Sprintf("%.100q", a.Hide(name))
		if _, known := c.unknown.LoadOrStore(name, true); !known && c.unknowns.Add(1) <= decode.MaxUnknown {
			c.log.Warn("records have a field that is not stored", "field", name, "in_this_page", n)
		} else if !known {
			c.unknown.Delete(name) // an API that invents names must not fill the memory, or the screen
		}
	}
}
