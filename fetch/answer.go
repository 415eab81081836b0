package fetch

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"sluice/fetch/quota"
	"sluice/shard"
)

// complaintBody is the envelope that all errors of the API have.
type complaintBody struct {
	Error     string `json:"error"`
	Message   string `json:"message"`
	Code      string `json:"code"`
	RateLimit struct {
		RetryAfter float64 `json:"retryAfter"`
	} `json:"rateLimit"`
}

func (a *answer) body() (b complaintBody) {
	if a.raw.Len() > 64<<10 || json.Unmarshal(a.raw.Bytes(), &b) != nil {
		return complaintBody{}
	}
	return b
}

// complaint says what the API said, in one line and without its control characters.
func (a *answer) complaint() string {
	b := a.body()
	if b.Code == "" && b.Message == "" {
		return fmt.Sprintf("status %d", a.status)
	}
	return fmt.Sprintf("status %d, %.60q: %.200q", a.status, a.hide(b.Code), a.hide(b.Message))
}

// hide puts stars for the secrets of the request.
func (a *answer) hide(text string) string { return hide(text, a.hidden) }

// fault returns what a status other than 200 and 429 means. withCursor says that the request had one. Whatever Retry-After
// it came with is the pacer's affair.
func (a *answer) fault(withCursor bool) error {
	err := errors.New(a.complaint())
	switch {
	case a.status == http.StatusUnauthorized:
		return refusedKey(err)
	case a.status == http.StatusBadRequest && withCursor: // its code says why, and nothing else of the request changes
		return fmt.Errorf("%w: %w", shard.ErrCursorDead, err)
	case a.status == http.StatusTooManyRequests, a.status == http.StatusRequestTimeout, a.status >= 500, a.status < 300:
		return &shard.TransientError{Err: err}
	case a.status >= 300 && a.status < 400:
		return fmt.Errorf("redirects are refused, they could carry the key away: %w", err)
	}
	return err
}

func refusedKey(err error) error {
	return &shard.StopError{
		Err:    fmt.Errorf("the API refused the key: %w", err),
		Hint:   "check TARGET_API_KEY; a new key with the same source resumes where this one stopped",
		Reason: shard.Refused,
	}
}

// retryAfter returns how long to wait, from the header or the body; 0 if neither says. A date is compared with that of the
// answer, because clocks differ.
func (a *answer) retryAfter() time.Duration {
	now, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	if d, ok := quota.ParseRetryAfter(a.header.Get("Retry-After"), now); ok {
		return d
	}
	if s := a.body().RateLimit.RetryAfter; s > 0 {
		return time.Duration(math.Min(math.Ceil(s), 1e8)) * time.Second
	}
	return 0
}

// cached tells whether the answer is one that the API had given before.
func (a *answer) cached() bool { return a.header.Get("X-Cache") == "HIT" }

// quota returns what the answer says about the endpoint's quota.
func (a *answer) quota() quota.Answer {
	q := quota.Answer{Refused: a.status == http.StatusTooManyRequests, Cached: a.cached()}
	if q.Refused || a.status >= 500 {
		q.RetryAfter = a.retryAfter()
	}
	limit, remaining, reset := a.number("X-RateLimit-Limit"), a.number("X-RateLimit-Remaining"), a.number("X-RateLimit-Reset")
	if limit > 0 && remaining >= 0 && reset >= 0 {
		q.Limit, q.Remaining, q.Reset = limit, remaining, relative(reset)
	}
	return q
}

func (a *answer) number(header string) int {
	n, err := strconv.Atoi(strings.TrimSpace(a.header.Get(header)))
	if err != nil || n > math.MaxInt32 {
		return -1
	}
	return n
}

// relative reads a reset. The API gives seconds from now; nobody has seen an epoch, which could not be meant as seconds.
func relative(reset int) time.Duration {
	const epoch = 1_000_000_000
	if reset >= epoch {
		return max(0, time.Until(time.Unix(int64(reset), 0)))
	}
	return time.Duration(reset) * time.Second
}
