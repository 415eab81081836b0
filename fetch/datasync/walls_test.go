package datasync

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/fetch"
	"sluice/shard"
)

// Go would follow a redirect to another host and hand X-API-Key on to it. Here none is followed, not even at home, and the key
// never comes to the other server.
func TestRedirectsAreRefused(t *testing.T) {
	var strangers atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strangers.Add(1)
		fixed(emptyPage)(w, r)
	}))
	defer stranger.Close()
	for _, status := range []int{301, 302, 303, 307, 308, 300, 304} {
		for _, to := range []string{stranger.URL + listPath, "/api/v1/elsewhere", "//" + stranger.Listener.Addr().String() + "/"} {
			var asked atomic.Int64
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			}))
			client, text := dialled(t, api.URL, Config{})
			_, err := first(t, client, text)
			wantPermanent(t, err)
			client.SetCapabilities(both)
			for _, err = range client.Pages(t.Context(), shard.Position{End: 1}) {
			}
			wantPermanent(t, err)
			if asked.Load() != 2 {
				t.Errorf("%d to %s: %d requests, want one for a page and one for access", status, to, asked.Load())
			}
			api.Close()
		}
	}
	if n := strangers.Load(); n > 0 {
		t.Errorf("%d requests came to another server", n)
	}
}

// What cannot be reached is a fault that passes. The error names neither the query nor a secret.
func TestUnreachableAPIIsAFaultThatPasses(t *testing.T) {
	reset := serveTCP(t, func(c *net.TCPConn) {
		if b, err := bufio.NewReader(c).ReadByte(); err == nil && b != 0x16 {
			t.Errorf("%q was sent before the handshake", b)
		}
		_ = c.SetLinger(0)
	})
	plain := httptest.NewServer(fixed(emptyPage))
	defer plain.Close()
	resolve(t, "")
	for name, base := range map[string]string{
		"connection refused": "http://127.0.0.1:1",
		"reset in handshake": "https://" + reset,
		"no TLS over there":  "https://" + plain.Listener.Addr().String(),
		"no such host":       "https://api.example",
	} {
		t.Run(name, func(t *testing.T) {
			client, text := dialled(t, base, Config{Fetch: fetch.Config{Tries: 2}})
			_, err := first(t, client, text)
			wantTransient(t, err)
			if strings.Contains(err.Error(), "limit=") {
				t.Errorf("%v shows what was asked for", err)
			}
		})
	}
}

// resolve answers all questions for names with one address, or says that there is no such name. It changes the whole process:
// no test beside it may ask for names.
func resolve(t *testing.T, ip string) {
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: netPipe(func(c net.Conn) { serveName(c, net.ParseIP(ip).To4()) })}
}

// netPipe dials connections that a function serves.
func netPipe(serve func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			serve(there)
		}()
		return here, nil
	}
}

// serveName answers one question on a connection of DNS: two bytes of length, then the message.
func serveName(c net.Conn, ip net.IP) {
	size := make([]byte, 2)
	if _, err := io.ReadFull(c, size); err != nil {
		return
	}
	m := make([]byte, binary.BigEndian.Uint16(size))
	if _, err := io.ReadFull(c, m); err != nil {
		return
	}
	end := 12 + strings.IndexByte(string(m[12:]), 0) + 5 // of the question
	isA := m[end-3] == 1
	m = m[:end]
	binary.BigEndian.PutUint16(m[2:], 0x8180)
	copy(m[6:12], make([]byte, 6))
	switch {
	case ip == nil:
		m[3] |= 3 // no such name
	case isA:
		m[7] = 1
		m = append(append(m, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), ip...)
	}
	_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
}

// A name that leads to the metadata of a cloud is not followed, and the key goes nowhere; one that leads to a private network
// from the beginning is, because an API may lie there.
func TestNameThatLeadsToLinkLocalServices(t *testing.T) {
	resolve(t, "169.254.169.254")
	client, text := dialled(t, "http://api.example", Config{Fetch: fetch.Config{Tries: 1}})
	if _, err := first(t, client, text); err == nil || !strings.Contains(err.Error(), "no address for it") {
		t.Errorf("%v", err)
	}
	api := httptest.NewServer(fixed(emptyPage))
	defer api.Close()
	_, port, _ := net.SplitHostPort(api.Listener.Addr().String())
	resolve(t, "127.0.0.1")
	client, text = dialled(t, "http://api.example:"+port, Config{Fetch: fetch.Config{Tries: 1}})
	if _, err := first(t, client, text); err != nil {
		t.Error(err)
	}
}

// A proxy of the environment gets its password and nobody else sees it; this machine itself is asked without one. The
// environment is read once a process, so each case is a process of its own.
func TestProxyOfTheEnvironment(t *testing.T) {
	const password = "pa55word-of-the-proxy"
	if base := os.Getenv("SLUICE_TEST_PROXIED"); base != "" {
		_, err := New(Config{BaseURL: base, Key: canary, Fetch: fetch.Config{Pacer: newTestPacer(t, unlimited)}})
		if err == nil {
			client, text := dialled(t, base, Config{Fetch: fetch.Config{Tries: 1}})
			_, err = first(t, client, text)
		}
		t.Logf("ended with %v", err)
		return
	}
	var authorized, asked atomic.Int64
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if strings.HasPrefix(r.Header.Get("Proxy-Authorization"), "Basic ") {
			authorized.Add(1)
		}
		w.WriteHeader(407)
	}))
	defer relay.Close()
	at := relay.Listener.Addr().String()
	for name, c := range map[string]struct {
		base, proxy, want string
		asked             int64
	}{
		"refuses":      {"http://api.example", "http://user:" + password + "@" + at, "407", 1},
		"refuses TLS":  {"https://api.example", "http://user:" + password + "@" + at, "Proxy Authentication Required", 1},
		"out of reach": {"https://api.example", "http://user:" + password + "@127.0.0.1:1", "proxyconnect", 0},
		"for loopback": {"http://127.0.0.1:1", "http://user:" + password + "@" + at, "connection refused", 0},
	} {
		t.Run(name, func(t *testing.T) {
			asked.Store(0)
			authorized.Store(0)
			cmd := exec.Command(os.Args[0], "-test.run=^TestProxyOfTheEnvironment$", "-test.v")
			cmd.Env = append(os.Environ(), "SLUICE_TEST_PROXIED="+c.base, "HTTP_PROXY="+c.proxy, "HTTPS_PROXY="+c.proxy, "NO_PROXY=", "no_proxy=")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.want) || strings.Contains(string(out), password) || strings.Contains(string(out), canary) {
				t.Errorf("%v, want %q and no secret in\n%s", err, c.want, out)
			}
			if asked.Load() != c.asked || authorized.Load() != c.asked {
				t.Errorf("the proxy was asked %d times, %d of them with its password", asked.Load(), authorized.Load())
			}
		})
	}
}
