package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// newHTTP returns the one keep-alive client of a run. Redirects are refused: Go would hand X-API-Key on to another host.
func newHTTP(c Config, host string) *http.Client {
	h := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     c.Transport,
	}
	if h.Transport == nil {
		h.Transport = network(c, host)
	}
	return h
}

// network speaks HTTP/1.1 only. With HTTP/2 all fetchers would share one connection, and its breaking would cost all of their
// pages; and net/http would repeat requests by itself (see unrepeatable).
func network(c Config, host string) *http.Transport {
	dial := failpoint.Sent(newDialer(host).dial, "GET /api/", "request.sent")
	dial = failpoint.Sent(dial, "POST "+accessPath, "access.asked")
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		Protocols:              protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  c.HeaderTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConns:           c.Fetchers + 4,
		MaxIdleConnsPerHost:    c.Fetchers + 4,
		IdleConnTimeout:        45 * time.Second, // before the balancer's 60 s: one that it closes while we write costs a request
		ReadBufferSize:         64 << 10,
	}
}

// answer is a response that was read to its clean end. Of a refusal only the status is sure: its body is what could be had.
type answer struct {
	status int
	header http.Header
	raw    *bytes.Buffer
	at     time.Time // when its headers came
	took   time.Duration
	hidden []string // secrets of the request, which must not be shown though the API may repeat them
}

// maxComplaint and complaintTime are how much is read of the body of a refusal, and how long. It is short and comes with its
// headers; while it does not, all fetchers stand still (see send).
const (
	maxComplaint  = 64 << 10
	complaintTime = 2 * time.Second
)

// bodies are used again: a page of 1.73 MB grows its buffer once.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// free gives the body back. Nothing may point into it any more.
func (a *answer) free() {
	if a.raw.Cap() <= 8<<20 {
		bodies.Put(a.raw)
	}
}

var (
	errIdle  = errors.New("the body stalled")
	errTotal = errors.New("the request took too long")
	errLarge = errors.New("the body is larger than a page may be")
)

// roundTrip sends a request and reads the whole body, at most limit bytes of it after decompression. Errors of the network
// are transient; the end of req's context is not. heard, unless nil, is told the status as soon as it is here. secrets are what
// req carries beside the key.
func (c *Client) roundTrip(req *http.Request, limit int64, heard func(status int), secrets ...string) (*answer, error) {
	secrets = append(secrets, c.config.Key.Reveal())
	caller := req.Context()
	ctx, cancel := context.WithTimeoutCause(caller, c.config.TotalTimeout, errTotal)
	defer cancel()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	started := time.Now()
	a, err := c.exchange(req.WithContext(ctx), limit, heard, abort)
	switch {
	case err == nil:
		a.took, a.hidden = time.Since(started), secrets
		return a, nil
	case caller.Err() != nil:
		return nil, context.Cause(caller)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return nil, &shard.TransientError{Err: fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, plainly(err, secrets))}
}

func (c *Client) exchange(req *http.Request, limit int64, heard func(int), abort context.CancelCauseFunc) (*answer, error) {
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
	a := &answer{status: resp.StatusCode, header: resp.Header, at: time.Now(), raw: bodies.Get().(*bytes.Buffer)}
	a.raw.Reset()
	if a.status != http.StatusOK {
		idle.Reset(complaintTime)
		_, _ = a.raw.ReadFrom(io.LimitReader(resp.Body, maxComplaint)) // a refusal counts, whatever became of its body
		return a, nil
	}
	body := &watched{resp.Body, idle, c.config.IdleTimeout}
	if err := a.read(resp, body, limit); err != nil {
		a.free()
		return nil, err
	}
	failpoint.Hit("body.in")
	return a, nil
}

// read reads the body of a page.
func (a *answer) read(resp *http.Response, body io.Reader, limit int64) error {
	if err := readable(resp.Header); err != nil {
		return err
	}
	switch n := resp.ContentLength; {
	case n > limit:
		return fmt.Errorf("%w: %d bytes, more than %d", errLarge, n, limit) // its sender says so: nothing of it need be read
	case n > 0:
		a.raw.Grow(int(n) + bytes.MinRead)
	}
	n, err := a.fill(body, limit+1)
	switch {
	case err != nil:
		return fmt.Errorf("read the body after %d bytes: %w", n, err)
	case n > limit:
		return fmt.Errorf("%w: more than %d bytes", errLarge, limit)
	}
	return nil
}

// fill reads at most so many bytes. A buffer doubles when it is full and is there twice meanwhile: what has come to a quarter of
// the bound may grow only once more.
func (a *answer) fill(body io.Reader, most int64) (int64, error) {
	n, err := a.raw.ReadFrom(io.LimitReader(body, most/4))
	if err != nil || n < most/4 {
		return n, err
	}
	a.raw.Grow(int(most-n) + bytes.MinRead)
	rest, err := a.raw.ReadFrom(io.LimitReader(body, most-n))
	return n + rest, err
}

// readable looks at what a body says it is. Text in another charset would be taken for UTF-8, and some of it is: wrong letters
// would be stored, and nobody would notice.
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

// watched pushes a deadline on with every read: a body may take long, but it may not stall.
type watched struct {
	r     io.Reader
	timer *time.Timer
	most  time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.timer.Reset(w.most)
	failpoint.Hit("body.part")
	return n, err
}
