package datasync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

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
func (c api) Doors(ctx context.Context, q *fetch.Question) (open []shard.Endpoint, err error) {
	access, why := c.openStream(ctx, q)
	caps := c.ladder.get()
	for _, door := range []shard.Endpoint{List, Stream} {
		if !caps.usable(q, door) || door == Stream && access == nil {
			continue
		}
		if refused := c.refused.shut(door); refused != nil {
			why = refused
		} else {
			open = append(open, door)
		}
	}
	switch {
	case len(open) > 0:
		return open, nil
	case !caps.usable(q, List) && !caps.usable(q, Stream):
		return nil, fmt.Errorf("%w: no endpoint can be asked by timestamp any more", shard.ErrCursorDead)
	}
	return nil, why
}

// openStream returns the access to the stream, or nil and why there is none now. Access that the API does not give, time and again, is
// not waited for: the list goes on alone, and the stream is tried again now and then.
func (c api) openStream(ctx context.Context, q *fetch.Question) (*access, error) {
	access, err := c.tokens.get(ctx, time.Duration(c.Draw(q, 0)*float64(time.Millisecond)))
	switch {
	case err == nil:
		c.ladder.streamOpens()
	case errors.Is(err, errStreamRefused) && c.tokens.shutOut() && c.ladder.streamCloses():
		c.log.Warn("the stream is out of reach, the list goes on alone", "why", err)
	}
	return access, err
}

// elsewhere reports whether another endpoint than the one that has refused a question takes it.
func (c api) elsewhere(q *fetch.Question, refused shard.Endpoint) bool {
	other := List
	if refused == List {
		other = Stream
	}
	return c.ladder.get().usable(q, other) && c.refused.shut(other) == nil && (other == List || c.tokens.best() != nil)
}

// keyIsWrong reports whether every endpoint has refused the key, time and again.
func (c *Client) keyIsWrong() bool {
	return c.refused.ofKey(List) && (c.refused.ofKey(Stream) || c.tokens.shutOut())
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

// complaint is the envelope of all errors of the API. Its parts may have any type.
type complaint struct {
	Message   jsontext.Value `json:"message"`
	Code      jsontext.Value `json:"code"`
	RateLimit jsontext.Value `json:"rateLimit"`
}

func complaintOf(a *fetch.Answer) (said complaint) {
	if len(a.Body()) <= 64<<10 {
		_ = json.Unmarshal(a.Body(), &said)
	}
	return said
}

// text returns a string without its quotes, and any other value as it stands.
func text(v jsontext.Value) string {
	if s, err := jsontext.AppendUnquote(nil, v); err == nil {
		return string(s)
	}
	return string(v)
}

// complained returns what the API said, in one line and without its control characters.
func complained(a *fetch.Answer) error {
	said := complaintOf(a)
	if len(said.Code) == 0 && len(said.Message) == 0 {
		return fmt.Errorf("status %d", a.Status)
	}
	return fmt.Errorf("status %d, %.60q: %.200q", a.Status, a.Hide(text(said.Code)), a.Hide(text(said.Message)))
}

// retryAfter returns how long to wait, from the header or the body; 0 if neither gives a time.
func retryAfter(a *fetch.Answer) time.Duration {
	d, ok := a.Wait(a.Header.Get("Retry-After"))
	if !ok && a.Status != http.StatusOK {
		var limit struct {
			RetryAfter jsontext.Value `json:"retryAfter"`
		}
		_ = json.Unmarshal(complaintOf(a).RateLimit, &limit)
		written := text(limit.RetryAfter)
		if n, ok := decode.Number(limit.RetryAfter); ok { // without an exponent
			written = strconv.FormatFloat(n, 'f', -1, 64)
		}
		d, _ = a.Wait(written)
	}
	return d
}

// cached reports whether the API had given the answer before.
func cached(a *fetch.Answer) bool { return a.Header.Get("X-Cache") == "HIT" }

// Quota reads the usual headers. The time to wait may stand in the body instead, and a refusal for lack of quota may have another
// status than 429.
func (c api) Quota(a *fetch.Answer) quota.Answer {
	said := a.Quota()
	said.Cached, said.RetryAfter = cached(a), retryAfter(a)
	if a.Status != http.StatusOK && text(complaintOf(a).Code) == "RATE_LIMIT_EXCEEDED" || a.Status == http.StatusForbidden && said.RetryAfter > 0 {
		said.Refused = true
	}
	return said
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
	c.refused.forget(a.Door)
	if q.Start == shard.ByUntil {
		c.ladder.noteUntil(a.Door, q.Until, b.Events)
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
	} else if page.Cursor != "" {
		c.ladder.addOwn(page.Cursor)
	}
	if made, ok := madeAt(page.Cursor); ok {
		page.Seen = made
	}
	return page, nil
}

// refusalLimit is how often in a row a question may be refused before its shard fails.
const refusalLimit = 5

// refusal returns the meaning of a status other than 200 and 429, and remembers what it says about the API. One refusal may be a
// mistake: it costs the cursor, or sends the question to the other endpoint, or is tried again.
func (c api) refusal(q *fetch.Question, a *fetch.Answer) error {
	err := fmt.Errorf("%s: %w", a.Door, complained(a))
	ofKey := a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden && a.Door == List // only the stream wants a token, too
	if a.Door == Stream && (ofKey || a.Status == http.StatusForbidden) {
		c.tokens.drop(a.Pass.(*access))
		if a.Again == 0 {
			return fetch.ErrAgain
		}
	}
	fault := a.Fault(q, err)
	var stuck *shard.StuckError
	switch {
	case ofKey:
	case q.Note == madeCursor && errors.Is(fault, shard.ErrCursorDead):
		c.dropMadeCursors(err)
		return fault
	case errors.Is(fault, shard.ErrCursorDead) && a.Status != http.StatusBadRequest && !q.Stored && a.Again == 0 && c.elsewhere(q, a.Door):
		// It is a cursor that was just given: this may be a mistake of the endpoint.
	case errors.Is(fault, shard.ErrCursorDead):
		if a.Again > 0 {
			c.refused.forget(List)
			c.refused.forget(Stream)
		}
		return fault
	case !errors.As(fault, &stuck):
		return fault
	default:
		err = stuck.Err // says more of a redirect
	}
	c.refused.note(a.Door, ofKey, err)
	switch {
	case ofKey && c.keyIsWrong():
		return refusedKey(err)
	case c.elsewhere(q, a.Door):
		return fetch.ErrAgain
	case ofKey:
		return c.refused.shut(a.Door)
	}
	return &shard.StuckError{Err: err, Limit: refusalLimit}
}

func (c api) dropMadeCursors(why error) {
	c.log.Warn("the API does not accept a cursor that we made", "why", why)
	c.ladder.dropMade()
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
