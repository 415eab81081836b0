package fetch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode"

	"sluice/fetch/quota"
)

// unrepeatable is the body of a request that must go out once: it is empty, but net/http cannot know how to read it again.
// Without it http.Transport sends a GET a second time by itself when a kept connection breaks, past the pacer: more requests
// than the quota has, and during a pause that the API asked for. On the wire the request is the same (HTTP/1.1).
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// wire watches the request of a call on its way, and tells the pacer what became of it.
type wire struct {
	pacer   *quota.Pacer
	call    quota.Slot
	waiting atomic.Bool // for a connection
}

// watch returns a context for the request. The server counts from when a request comes in, which after a slow handshake is
// seconds later than the pacer let it through.
func (w *wire) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { w.waiting.Store(true) },
		GotConn:      func(httptrace.GotConnInfo) { w.waiting.Store(false) },
		WroteRequest: func(httptrace.WroteRequestInfo) { w.pacer.Sent(w.call) },
	})
}

// heard makes everybody wait as soon as the headers of a refusal are here. When to come back may stand in its body, and that
// may take its time.
func (w *wire) heard(status int) {
	if status == http.StatusTooManyRequests {
		w.pacer.Refused(w.call)
	}
}

// failed ends a call without an answer. One that never had a connection cannot have been counted.
func (w *wire) failed() {
	if w.waiting.Load() {
		w.pacer.Return(w.call)
	} else {
		w.pacer.Observe(w.call, quota.Answer{})
	}
}

// wireError is an error of the network in words that may be shown. Parts of it were written by whoever sits at the other
// end: a status line of a proxy, a name in a certificate.
type wireError struct {
	err  error
	text string
}

func (e *wireError) Error() string { return e.text }
func (e *wireError) Unwrap() error { return e.err }

// plainly takes the URL out of an error of net/http, which is long and nobody's business, and the secrets, and what could
// hurt a terminal.
func plainly(err error, secrets []string) error {
	const longest = 512
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	text := hide(err.Error(), secrets)
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		text = strconv.Quote(text)
	}
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return &wireError{err, text}
}

// hide puts stars for the secrets that a request carried: an API may well repeat the key that it refuses.
func hide(text string, secrets []string) string {
	const shortest = 8 // what is shorter stands in too many words
	for _, secret := range secrets {
		if len(secret) >= shortest {
			text = strings.ReplaceAll(text, secret, stars)
		}
	}
	return text
}
