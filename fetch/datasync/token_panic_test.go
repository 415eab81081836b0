package datasync

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/fetch"
	"sluice/fetch/quota"
)

// roundTrip is a network that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestAPanicInTheSharedRequestIsCarried: singleflight ends the process at a panic, in a goroutine of its own; so it is carried to
// those who wait, where their shard's guard catches it.
func TestAPanicInTheSharedRequestIsCarried(t *testing.T) {
	pacer, err := quota.NewPacer(quota.Config{Quotas: Quotas(quota.Limit{}, quota.Limit{})})
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{BaseURL: "http://api.test", Key: canary, Fetch: fetch.Config{Pacer: pacer,
		Transport: roundTrip(func(*http.Request) (*http.Response, error) { panic("a bug") })}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if text, ok := recover().(string); !ok || !strings.Contains(text, "a bug") || !strings.Contains(text, "token_panic_test.go") {
			t.Errorf("caught %q", text)
		}
	}()
	_, err = c.tokens.get(t.Context(), time.Millisecond)
	t.Errorf("no panic, %v", err)
}
