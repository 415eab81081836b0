package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"sluice/shard"
)

// newHTTP returns the one keep-alive client of a run. Redirects are refused: Go would hand X-API-Key on to another host.
func newHTTP(c Config) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  c.HeaderTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConns:           c.Fetchers + 4,
			MaxIdleConnsPerHost:    c.Fetchers + 4,
			IdleConnTimeout:        90 * time.Second,
			ReadBufferSize:         64 << 10,
		},
	}
}

// answer is a response that was read to its clean end.
type answer struct {
	status int
	header http.Header
	raw    *bytes.Buffer
	took   time.Duration
}

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
// are transient; the end of req's context is not.
func (c *Client) roundTrip(req *http.Request, limit int64) (*answer, error) {
	caller := req.Context()
	ctx, cancel := context.WithTimeoutCause(caller, c.config.TotalTimeout, errTotal)
	defer cancel()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	started := time.Now()
	a, err := c.exchange(req.WithContext(ctx), limit, abort)
	switch {
	case err == nil:
		a.took = time.Since(started)
		return a, nil
	case caller.Err() != nil:
		return nil, context.Cause(caller)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return nil, &shard.TransientError{Err: fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, stripURL(err))}
}

func (c *Client) exchange(req *http.Request, limit int64, abort context.CancelCauseFunc) (*answer, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, fmt.Errorf("the body is encoded as %.40q, which was not asked for", encoding)
	}
	raw := bodies.Get().(*bytes.Buffer)
	raw.Reset()
	if n := resp.ContentLength; n > 0 && n <= limit {
		raw.Grow(int(n) + bytes.MinRead)
	}
	idle := time.AfterFunc(c.config.IdleTimeout, func() { abort(errIdle) })
	defer idle.Stop()
	n, err := raw.ReadFrom(&watched{io.LimitReader(resp.Body, limit+1), idle, c.config.IdleTimeout})
	if err == nil && n > limit {
		err = fmt.Errorf("%w: more than %d bytes", errLarge, limit)
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, raw: raw}
	if err != nil {
		a.free()
		return nil, fmt.Errorf("read the body after %d bytes: %w", n, err)
	}
	return a, nil
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
	return n, err
}

// stripURL takes the URL out of an error of net/http: it may hold a secret, and it is long.
func stripURL(err error) error {
	var wrapped interface{ Unwrap() error }
	var urlError interface {
		Timeout() bool
		Unwrap() error
	}
	if errors.As(err, &urlError) && errors.As(err, &wrapped) {
		if inner := urlError.Unwrap(); inner != nil {
			return inner
		}
	}
	return err
}
