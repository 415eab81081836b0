package fetch

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

const (
	apiPath     = "/api/v1"
	listPath    = "/api/v1/events"
	accessPath  = "/internal/dashboard/stream-access"
	maxEndpoint = 2 << 10
)

// parseOrigin reads API_BASE_URL: an origin, with or without /api/v1.
func parseOrigin(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil {
		return nil, errors.New("API_BASE_URL is not a URL (its text is not shown, it may hold a secret)")
	}
	trimmed := strings.TrimSuffix(strings.TrimRight(u.Path, "/"), apiPath)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("API_BASE_URL begins with %q, it must begin with https:// or http://", u.Scheme)
	case u.Host == "":
		return nil, errors.New("API_BASE_URL names no host")
	case u.User != nil:
		return nil, errors.New("API_BASE_URL holds a user or a password: leave them out, the key belongs in TARGET_API_KEY")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("API_BASE_URL has a query or a fragment: give the origin alone, such as https://host")
	case trimmed != "":
		return nil, fmt.Errorf("API_BASE_URL has the path %q: give the origin, with or without %s", u.Path, apiPath)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// resolveEndpoint checks the stream's address as the API gave it: the same origin, a path under /api/, nothing hidden in it.
// The key goes wherever this points.
func resolveEndpoint(origin *url.URL, given string) (*url.URL, error) {
	if len(given) > maxEndpoint || strings.ContainsAny(given, "\\\r\n\x00") || given == "" {
		return nil, fmt.Errorf("the stream's endpoint %.100q is malformed", given)
	}
	ref, err := url.Parse(given)
	if err != nil {
		return nil, fmt.Errorf("the stream's endpoint %.100q is malformed", given)
	}
	u := origin.ResolveReference(ref)
	if len(u.String()) > maxEndpoint { // escaped, it may be three times as long
		return nil, fmt.Errorf("the stream's endpoint %.100q is malformed", given)
	}
	clean := path.Clean(u.Path)
	switch {
	case !sameOrigin(origin, u) || u.User != nil || u.Opaque != "":
		return nil, fmt.Errorf("the stream's endpoint %.100q lies on another host than the API", given)
	case clean != u.Path || !strings.HasPrefix(u.Path, "/api/") || strings.Contains(given+u.Path, ".."):
		return nil, fmt.Errorf("the stream's endpoint %.100q is not a plain path under /api/", given)
	case strings.Contains(strings.ToLower(u.EscapedPath()), "%2e"), strings.Contains(strings.ToLower(u.EscapedPath()), "%2f"):
		return nil, fmt.Errorf("the stream's endpoint %.100q hides a part of its path", given)
	}
	return &url.URL{Scheme: u.Scheme, Host: origin.Host, Path: u.Path}, nil
}

func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if strings.EqualFold(u.Scheme, "https") {
		return "443"
	}
	return "80"
}

var headerName = regexp.MustCompile(`^[Xx]-[A-Za-z-]{1,40}$`)

// checkTokenHeader allows the header that the API wants its token in, unless it is none or one of our own.
func checkTokenHeader(name string) error {
	if !headerName.MatchString(name) || strings.EqualFold(name, "X-API-Key") || strings.EqualFold(name, "X-Requested-With") {
		return fmt.Errorf("the API asks for its token in the header %.60q, which is not allowed", name)
	}
	return nil
}

// checkHeaderValue allows what may stand in a header: with a line break in it, it could add headers of its own. The value is
// not shown, it is a secret.
func checkHeaderValue(what, secret string) error {
	if strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%s has characters that no header may have", what)
	}
	return nil
}
