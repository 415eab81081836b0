package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sluice/fetch/decode"
	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/shard/failpoint"
)

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
	a, err := c.roundTrip(req, decode.MaxRecord, nil)
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
	return nil, c.accessFault(a)
}

// accessFault returns what a status other than 200 means. The pacer knows nothing of these requests: how long the API wants to
// be left alone goes with the fault.
func (c *Client) accessFault(a *answer) error {
	err := a.fault(false)
	var transient *shard.TransientError
	if !errors.As(err, &transient) {
		return err
	}
	if transient.After = a.retryAfter(); transient.After > c.pacer.MaxWait {
		return quota.TooLong(time.Now(), transient.After)
	}
	return err
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

// parseAccess reads an access that was asked for at sent.
func (c *Client) parseAccess(raw []byte, sent time.Time) (*access, error) {
	var reply accessReply
	err := json.Unmarshal(raw, &reply)
	given := reply.StreamAccess
	switch {
	case err != nil:
		return nil, &shard.TransientError{Err: fmt.Errorf("read the stream access: %w", err)}
	case given == nil || given.Token == "": // as with null in place of a page: asked again, it may be there
		return nil, &shard.TransientError{Err: errors.New("read the stream access: there is none in the answer")}
	}
	endpoint, err := resolveEndpoint(c.origin, given.Endpoint)
	if err := cmp.Or(err, checkTokenHeader(given.TokenHeader), checkHeaderValue("the API's token", given.Token)); err != nil {
		return nil, fmt.Errorf("%w: %w", errStreamRefused, err)
	}
	failpoint.Hit("access.got")
	life := tokenLife(given.ExpiresIn)
	expires := sent.Add(life)
	return &access{
		endpoint: endpoint, header: given.TokenHeader, token: Secret(given.Token), expires: expires,
		renew: later(expires.Add(-min(45*time.Second, life/5)), time.Now().Add(tokenPause)),
	}, nil
}

func later(s, t time.Time) time.Time {
	if t.After(s) {
		return t
	}
	return s
}

// tokenLife reads how many seconds a token lives, within what can be believed. One that was dead on arrival would be asked for
// again without end.
func tokenLife(expiresIn jsontext.Value) time.Duration {
	const shortest, longest = 5, 3600
	seconds, _ := strconv.ParseFloat(strings.Trim(string(expiresIn), `"`), 64) // 0 where it is no number
	if !(seconds > shortest) {                                                 // NaN as well
		seconds = shortest
	}
	return time.Duration(min(seconds, longest) * float64(time.Second))
}
