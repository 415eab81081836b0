package job_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"sluice/fetch/apisim"
	"sluice/fetch/quota"
)

var (
	errDead    = errors.New("the process is dead")
	errNetwork = errors.New("connection reset by peer")
	errSilent  = errors.New("net/http: timeout awaiting response headers")
)

// line carries the requests of a process to the API, through the same code as the network does but for the sockets.
type line struct {
	*simulation
	p *process
}

// asks is the key of the asker in the context of a request; requests for stream access have none.
type asks struct{}

// asker is what a request is for: a shard, by its row, or something that the job wants to know.
type asker struct {
	name string
	row  int64
}

// tamper changes the requests and the answers on their way, in written scenarios. Either may be nil.
type tamper struct {
	request func(*simulation, *process, *http.Request)
	answer  func(*simulation, *process, *http.Request, *answered)
}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.tamper.request != nil {
		r = r.Clone(r.Context())
		l.tamper.request(l.simulation, l.p, r)
	}
	e, name := l.name(r)
	l.noteRequest(l.p, e, r)
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
	if err := l.stage.enter(r.Context(), &entrance{name: name, of: l.p, most: l.way}); err != nil {
		return nil, err
	}
	switch {
	case l.p.isDead():
		return nil, errDead
	case l.apiAway():
		l.say("%s: the API is away", name)
		return nil, errNetwork
	case l.weather.strikes(badLostRequest):
		l.say("%s: lost on the way", name)
		return nil, errNetwork
	}
	l.say("%s %s", name, query(r))
	l.served.Add(1)
	lied := false
	resp, err := l.exchange(r.WithContext(context.WithValue(r.Context(), lie{}, &lied)))
	l.heard(r, resp, lied)
	if r.Context().Err() == nil {
		l.say("%s → %s", name, told(resp, err))
	}
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		l.banned(l.p, e, resp)
	}
	return resp, err
}

// name says who asks, and what.
func (l *line) name(r *http.Request) (apisim.Endpoint, string) {
	switch who, _ := r.Context().Value(asks{}).(asker); {
	case strings.HasPrefix(r.URL.Path, "/internal"):
		return apisim.Access, fmt.Sprintf("p%d token", l.p.number)
	case strings.HasSuffix(r.URL.Path, "/feed"):
		return apisim.Feed, fmt.Sprintf("p%d %s feed", l.p.number, who.name)
	default:
		return apisim.List, fmt.Sprintf("p%d %s list", l.p.number, who.name)
	}
}

func query(r *http.Request) string {
	q := r.URL.Query()
	if cursor := q.Get("cursor"); cursor != "" {
		at, id, _ := readCursor(cursor)
		q.Set("cursor", fmt.Sprintf("%d-%.8s", at, id))
	}
	return strings.ReplaceAll(q.Encode(), "&", " ")
}

func told(resp *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d, %d bytes %s%s", resp.StatusCode, resp.ContentLength, resp.Header.Get("X-Cache"), resp.Header.Get("Retry-After"))
}

// exchange lets the API answer. Its latency is slept here, in virtual time.
func (l *line) exchange(r *http.Request) (*http.Response, error) {
	stall := l.weather.strikes(badStall)
	ctx, cancel := context.WithTimeoutCause(r.Context(), 30*time.Second, errSilent) // as http.Transport's ResponseHeaderTimeout
	defer cancel()
	a := &answered{header: http.Header{}}
	a.serve(l.handler(), r.WithContext(ctx))
	l.changing.Lock() // two answers may be on their way in the same instant
	defer l.changing.Unlock()
	if l.total != nil && a.status == http.StatusOK && !a.cut {
		a.retotal(l.simulation, r)
	}
	if l.tamper.answer != nil && a.status != 0 {
		l.tamper.answer(l.simulation, l.p, r, a)
	}
	l.poison(a)
	switch {
	case l.p.isDead():
		return nil, errDead
	case a.status == 0 && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case a.status == 0:
		return nil, io.EOF
	}
	resp := a.response(r)
	if stall {
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(a.body.Bytes()[:a.body.Len()/2]), stalled{r.Context()}))
	}
	return resp, nil
}

// answered is what the API wrote.
type answered struct {
	header http.Header
	status int
	body   bytes.Buffer
	cut    bool
}

func (a *answered) Header() http.Header         { return a.header }
func (a *answered) WriteHeader(status int)      { a.status = status }
func (a *answered) Write(p []byte) (int, error) { return a.body.Write(p) }
func (a *answered) Flush()                      {}

func (a *answered) serve(h http.Handler, r *http.Request) {
	defer func() {
		if caught := recover(); caught != nil {
			a.cut = true
			if caught != http.ErrAbortHandler { //nolint:errorlint // that is how net/http compares it
				panic(caught)
			}
		}
	}()
	h.ServeHTTP(a, r)
}

func (a *answered) response(r *http.Request) *http.Response {
	header := canonical(a.header)
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	resp := &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: int64(a.body.Len()), Request: r, Body: io.NopCloser(&a.body),
	}
	if a.cut {
		resp.ContentLength *= 2
		resp.Body = io.NopCloser(io.MultiReader(&a.body, broken{}))
	}
	return resp
}

// canonical spells the headers as a client of net/http reads them, however the API wrote them.
func canonical(written http.Header) http.Header {
	read := http.Header{}
	for name, values := range written {
		for _, value := range values {
			read.Add(name, value)
		}
	}
	return read
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// stalled is a body that does not go on.
type stalled struct{ ctx context.Context }

func (s stalled) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, context.Cause(s.ctx)
}

// ban is a stretch in which the API has asked for silence.
type ban struct {
	of           apisim.Endpoint
	told         *process
	since, until time.Time
	forgotten    bool // it was not written down before its process ended
}

// binds reports whether a process knows of the ban: it was told, or it has inherited it.
func (b *ban) binds(p *process) bool { return b.told == p || b.since.Before(p.joined) && !b.forgotten }

// banned notes what a 429 told: nobody may ask before, once the process has heard of it.
func (l *line) banned(p *process, e apisim.Endpoint, resp *http.Response) {
	date, _ := http.ParseTime(resp.Header.Get("Date"))
	wait, ok := quota.ParseWait(resp.Header.Get("Retry-After"), date)
	if !ok {
		var body struct {
			RateLimit struct {
				RetryAfter float64 `json:"retryAfter"`
			} `json:"rateLimit"`
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(bytes.NewReader(text))
		if json.Unmarshal(text, &body) == nil && body.RateLimit.RetryAfter > 0 {
			wait, ok = time.Duration(math.Ceil(body.RateLimit.RetryAfter))*time.Second, true
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok {
		l.refusedUntold++
		return
	}
	l.refusedTold++
	now := time.Now()
	l.bans = append(l.bans, &ban{of: e, told: p, since: now, until: now.Add(wait)})
}

// noteRequest holds every request against what may be asked: none in a ban, none after a stop.
func (l *line) noteRequest(p *process, e apisim.Endpoint, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if p.dead {
		return
	}
	l.requests++
	if e == apisim.Access {
		l.accesses++
	}
	l.bans = slices.DeleteFunc(l.bans, func(b *ban) bool { return !now.Before(b.until) })
	for _, b := range l.bans {
		if b.of == e && now.After(b.since) && b.binds(p) {
			l.failLocked(fmt.Errorf("p%d asked the %s %s before the API wanted to be asked again", p.number, e, b.until.Sub(now)))
		}
	}
	if e != apisim.Access && !p.stopped.IsZero() && now.After(p.stopped) {
		l.failLocked(fmt.Errorf("p%d asked the %s %s after it was stopped: %s", p.number, e, now.Sub(p.stopped), query(r)))
	}
}
