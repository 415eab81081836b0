package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// Answer is a response that was read to its clean end. Of a status other than 200 only the head is certain: the body is as much
// of it as came in time.
type Answer struct {
	Door   shard.Endpoint // that was asked; empty for Exchange
	Status int
	Header http.Header
	Took   time.Duration // from the request to the last byte
	Again  int           // how often ErrAgain has put the question again before this answer
	Pass   any           // of the Request

	raw     *bytes.Buffer
	at      time.Time // when its headers came
	secrets []string  // of the request

	refused    bool // for lack of quota
	retryAfter time.Duration
}

// Body returns the body, which is good until Free.
func (a *Answer) Body() []byte { return a.raw.Bytes() }

// Free gives the body back to be used again. Nothing may point into it any more.
func (a *Answer) Free() {
	if a.raw.Cap() <= 8<<20 {
		bodies.Put(a.raw)
	}
}

// bodies are used again: a page of 1.73 MB grows its buffer once.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Hide replaces the secrets of the request, which the API may repeat, by stars.
func (a *Answer) Hide(text string) string { return hide(text, a.secrets) }

// Plain returns err in words that may be shown: without the request's secrets, and without what could harm a terminal.
func (a *Answer) Plain(err error) error { return plain(err, a.secrets) }

// Fault returns the usual meaning of a status other than 200 and 429 for a question; said is what the API said about it. A cursor is
// dead if it is refused, in whatever way; anything else that is refused is worth a few tries. A wait that a Retry-After asks for is the
// pacer's concern.
func (a *Answer) Fault(q *Question, said error) error {
	switch {
	case a.Status == http.StatusTooManyRequests, a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly,
		a.Status >= 500, a.Status < 300:
		return &shard.TransientError{Err: said}
	case a.Status < 400:
		said = fmt.Errorf("redirects are refused, they could carry the key away%s: %w", a.leads(), said)
	case q.Cursor != "" && a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden:
		return fmt.Errorf("%w: %w", shard.ErrCursorDead, said)
	}
	return &shard.StuckError{Err: said, Limit: PoisonLimit}
}

// leads says where a redirect leads: to an origin, without the rest of the address, which may be private.
func (a *Answer) leads() string {
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || to.Host == "" || to.Scheme != "https" && to.Scheme != "http" {
		return ""
	}
	return "; this one leads to " + a.Plain(errors.New(to.Scheme+"://"+to.Host)).Error() + ": if that is the API, give it as API_BASE_URL"
}

// Refused returns the error that ends a run because the API refused its key.
func Refused(said error, hint string) error {
	return &shard.StopError{Err: fmt.Errorf("the API refused the key: %w", said), Hint: hint, Reason: shard.Refused}
}

// Quota returns what the usual headers say about the quota of the door: Retry-After, and X-RateLimit-Limit, -Remaining and -Reset.
func (a *Answer) Quota() quota.Answer {
	said := quota.Answer{Refused: a.Status == http.StatusTooManyRequests}
	said.RetryAfter, _ = a.Wait(a.Header.Get("Retry-After"))
	limit, remaining := a.number("X-RateLimit-Limit"), a.number("X-RateLimit-Remaining")
	reset, ok := a.Wait(a.Header.Get("X-RateLimit-Reset"))
	if limit > 0 && remaining >= 0 && ok {
		said.Limit, said.Remaining, said.Reset = limit, remaining, reset
	}
	said.Silent = a.Status == http.StatusOK && said.Limit == 0
	return said
}

// Wait reads until when the API asks to wait, however it says so: see quota.ParseWait. A date or an epoch is compared with the date of
// the answer, because clocks differ.
func (a *Answer) Wait(text string) (time.Duration, bool) {
	now, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return quota.ParseWait(text, now)
}

func (a *Answer) number(header string) int {
	n, err := strconv.Atoi(strings.TrimSpace(a.Header.Get(header)))
	if err != nil || n > math.MaxInt32 {
		return -1
	}
	return n
}

// maxComplaint and complaintTime are how much is read of the body of a refusal, and how long. It is short and comes with its
// headers; while it does not, all fetchers stand still (see wire.heard).
const (
	maxComplaint  = 64 << 10
	complaintTime = 2 * time.Second
)

var (
	errIdle  = errors.New("the body stalled")
	errTotal = errors.New("the request took too long")
)

// Exchange sends a request that is not for a page, such as one for a token, and reads its answer, of at most limit bytes. It
// takes no quota and does not try again. A fault of the network is a *shard.TransientError. The answer must be freed.
func (c *Client) Exchange(req *Request, limit int64) (*Answer, error) {
	c.beside.Add(1)
	return c.roundTrip(req, limit, nil)
}

// roundTrip sends a request and reads the whole body, at most limit bytes of it after decompression. Errors of the network are
// transient; the end of req's context is not. heard, unless nil, is called with the status as soon as it is here.
func (c *Client) roundTrip(req *Request, limit int64, heard func(status int)) (*Answer, error) {
	caller := req.Context()
	ctx, cancel := context.WithTimeoutCause(caller, c.config.TotalTimeout, errTotal)
	defer cancel()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	started := time.Now()
	a, err := c.exchange(req.WithContext(ctx), limit, heard, abort)
	var dropped *shard.TransientError
	switch {
	case err == nil:
		a.Took, a.Pass, a.secrets = time.Since(started), req.Pass, req.Secrets
		return a, nil
	case caller.Err() != nil:
		return nil, context.Cause(caller)
	case errors.As(err, &dropped): // for lack of memory
		return nil, err
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return nil, &shard.TransientError{Err: fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, plain(err, req.Secrets))}
}

func (c *Client) exchange(req *http.Request, limit int64, heard func(int), abort context.CancelCauseFunc) (*Answer, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	failpoint.Hit("headers.in")
	defer resp.Body.Close()
	if heard != nil {
		heard(resp.StatusCode)
	}
	idle := time.AfterFunc(c.config.IdleTimeout, func() { abort(errIdle) })
	defer idle.Stop()
	a := &Answer{Status: resp.StatusCode, Header: resp.Header, at: time.Now(), raw: bodies.Get().(*bytes.Buffer)}
	a.raw.Reset()
	if a.Status != http.StatusOK {
		idle.Reset(complaintTime)
		_, _ = a.raw.ReadFrom(io.LimitReader(resp.Body, maxComplaint)) // a refusal counts, whatever became of its body
		return a, nil
	}
	body := &watched{resp.Body, idle, c.config.IdleTimeout}
	if err := a.read(req.Context(), resp, body, limit, c.expected()); err != nil {
		a.Free()
		return nil, err
	}
	failpoint.Hit("body.in")
	return a, nil
}

// read reads the body of a page, and reserves the memory for it before it is held: a body of unknown length in steps, the first of
// which is the size that is expected. A buffer that grows is there twice meanwhile: a body that has come to a quarter of the limit
// may make it grow only once more.
func (a *Answer) read(ctx context.Context, resp *http.Response, body *watched, limit, expected int64) error {
	if err := readable(resp.Header); err != nil {
		return err
	}
	if resp.ContentLength > limit {
		return fmt.Errorf("%w: %d bytes, more than %d", ErrLarge, resp.ContentLength, limit) // the header says so: nothing of it need be read
	}
	if resp.ContentLength > 0 {
		expected = resp.ContentLength
	}
	for n, step := int64(0), min(expected, limit)+1; ; {
		if err := body.reserve(ctx, step); err != nil {
			return err
		}
		a.raw.Grow(int(step-n) + bytes.MinRead)
		more, err := a.raw.ReadFrom(io.LimitReader(body, step-n))
		switch n += more; {
		case err != nil:
			return fmt.Errorf("read the body after %d bytes: %w", n, err)
		case n > limit:
			return fmt.Errorf("%w: more than %d bytes", ErrLarge, limit)
		case n < step:
			return nil
		}
		if step *= 2; step > limit/4 {
			step = limit + 1
		}
	}
}

// readable checks the encoding and the type of a body. Text in another charset would be taken for UTF-8, and some of it is
// valid UTF-8: wrong characters would be stored without notice.
func readable(h http.Header) error {
	if encoding := h.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return fmt.Errorf("the body is encoded as %.40q, which was not asked for", encoding)
	}
	content := h.Get("Content-Type")
	if content == "" {
		return nil
	}
	media, params, _ := mime.ParseMediaType(content)
	if !strings.HasSuffix(media, "json") {
		return fmt.Errorf("the body is %.60q, not JSON", content)
	}
	switch charset := strings.ToLower(params["charset"]); charset {
	case "", "utf-8", "utf8", "us-ascii":
		return nil
	}
	return fmt.Errorf("the body is %.60q, not UTF-8", content)
}

// watched extends a deadline with every read: a body may take long, but it must not stall.
type watched struct {
	r       io.Reader
	timer   *time.Timer
	timeout time.Duration
}

// reserve waits for the memory that a body needs. Meanwhile it is not the server that stalls.
func (w *watched) reserve(ctx context.Context, bytes int64) error {
	w.timer.Stop()
	defer w.timer.Reset(w.timeout)
	return shard.Reserve(ctx, bytes)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.timer.Reset(w.timeout)
	failpoint.Hit("body.part")
	return n, err
}
