package cli

import "testing"

// TestSourceIsSpelledInOneWay: the same API under two spellings is the same job.
func TestSourceIsSpelledInOneWay(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"HTTPS://Api.Example.com:443/api/v1": "https://api.example.com",
		"https://api.example.com/":           "https://api.example.com",
		"http://127.0.0.1:8080/api/v1":       "http://127.0.0.1:8080",
		"simulator:v2,seed=1,n=10":           "simulator:v2,seed=1,n=10",
		"":                                   "https://other",
	} {
		if got := named(given, "https://other"); got != want {
			t.Errorf("named(%q) = %q, want %q", given, got, want)
		}
	}
}
