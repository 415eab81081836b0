package datasync

import (
	"net/url"
	"strings"
	"testing"
)

func TestEndpointStaysAtTheOrigin(t *testing.T) {
	origin, err := parseOrigin("https://api.example.com/api/v1/")
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		"/api/v1/events/d4ta/x7k9/feed":            "https://api.example.com/api/v1/events/d4ta/x7k9/feed",
		"https://API.example.com:443/api/v1/feed":  "https://api.example.com/api/v1/feed",
		"/api/v1/feed?x=1#f":                       "https://api.example.com/api/v1/feed",
		"//evil.com/api/x":                         "",
		"https://evil.com/api/x":                   "",
		"http://api.example.com/api/x":             "",
		"https://api.example.com@evil.com/api/x":   "",
		"https://api.example.com.evil.com/api/x":   "",
		"https://user:pw@api.example.com/api/x":    "",
		"//api.example.com:8443/api/x":             "",
		"http://169.254.169.254/api/x":             "",
		"javascript:alert(1)":                      "",
		"file:///api/passwd":                       "",
		"https:evil":                               "",
		"https:///api/x":                           "",
		"/../../admin":                             "",
		"/api/../admin":                            "",
		"/api/%2e%2e/admin":                        "",
		"/api/%2fadmin":                            "",
		`/\evil.com/api/`:                          "",
		"/admin":                                   "",
		"":                                         "",
		"?x=1":                                     "",
		"/api/x\r\nX: y":                           "",
		"/api/\x00":                                "",
		"/api/" + strings.Repeat("x", maxEndpoint): "",
		"/api/v1//feed":                            "",
		"/api":                                     "",
	} {
		u, err := resolveEndpoint(origin, given)
		switch {
		case want == "" && err == nil:
			t.Errorf("%.60q is taken as %s", given, u)
		case want != "" && err != nil:
			t.Errorf("%.60q is refused: %v", given, err)
		case want != "" && u.String() != want:
			t.Errorf("%.60q is taken as %s, want %s", given, u, want)
		}
	}
}

func FuzzResolveEndpoint(f *testing.F) {
	for _, s := range []string{"/api/v1/x", "//evil.com/api/", "/api/%2e%2e/x", "https://api.example.com:443/api/x", "/api/a%20b?c#d",
		"https://api.example.com@evil.com/api/", `/\evil.com/api/`, "/api/%252e%252e/x", "/api/é", "https:api/x", "/api/;x=1"} {
		f.Add(s)
	}
	origin := &url.URL{Scheme: "https", Host: "api.example.com"}
	f.Fuzz(func(t *testing.T, given string) {
		u, err := resolveEndpoint(origin, given)
		if err != nil {
			return
		}
		if u.Scheme != "https" || u.Host != "api.example.com" || u.User != nil || !strings.HasPrefix(u.Path, "/api/") ||
			strings.Contains(u.String(), "..") {
			t.Errorf("%q leads to %s", given, u)
		}
		if again, err := resolveEndpoint(origin, u.String()); err != nil || again.String() != u.String() {
			t.Errorf("%q leads to %s, which leads to %v, %v", given, u, again, err)
		}
	})
}

func TestOriginIsReadStrictly(t *testing.T) {
	for given, want := range map[string]string{
		"https://h":          "https://h",
		"http://h:8080/":     "http://h:8080",
		"https://h/api/v1":   "https://h",
		" https://h/api/v1/": "https://h",
		"h":                  "",
		"ftp://h":            "",
		"https://":           "",
		"https://u:p@h":      "",
		"https://h/?k=v":     "",
		"https://h/api/v2":   "",
		"https://h/#x":       "",
		"https://h:x":        "",
	} {
		u, err := parseOrigin(given)
		if (err == nil) != (want != "") || err == nil && u.String() != want {
			t.Errorf("%q: %v, %v, want %q", given, u, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: the error shows the password: %v", given, err)
		}
	}
}

func TestTokenHeaderIsOnAnAllowList(t *testing.T) {
	for name, ok := range map[string]bool{
		"X-Stream-Token": true, "x-token": true, "X-API-Key": false, "Host": false, "Authorization": false, "": false,
		"X-\r\nY": false, "X-Requested-With": false, "X-" + strings.Repeat("a", 41): false,
	} {
		if err := checkTokenHeader(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
