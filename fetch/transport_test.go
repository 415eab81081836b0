package fetch_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/fetch"
	"sluice/fetch/quota"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	signed := a.sign(t, root)
	cert, err := x509.ParseCertificate(signed.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	a.cert = cert
	return a
}

// sign signs a certificate; the first one signs itself.
func (a *authority) sign(t *testing.T, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	by, signer := c, key
	if a.cert != nil {
		by, signer = a.cert, a.key
	} else {
		a.key = key
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// leaf is a sound certificate for 127.0.0.1, until it is changed.
func leaf(change func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "api"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(c)
	}
	return c
}

// An API that cannot prove its identity gets neither the key nor a request, not in the clear either; a sound one is asked by HTTP/1.1,
// though it offers more.
func TestTLSIsNotNegotiable(t *testing.T) {
	trusted, stranger := newAuthority(t), newAuthority(t)
	sound := trusted.sign(t, leaf(nil))
	for name, c := range map[string]struct {
		config *tls.Config
		want   string // of the error; "": it is asked
	}{
		"sound":             {&tls.Config{Certificates: []tls.Certificate{sound}}, ""},
		"TLS 1.2":           {&tls.Config{Certificates: []tls.Certificate{sound}, MaxVersion: tls.VersionTLS12}, ""},
		"TLS 1.1":           {&tls.Config{Certificates: []tls.Certificate{sound}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "protocol version"},
		"self-signed":       {&tls.Config{Certificates: []tls.Certificate{(&authority{}).sign(t, leaf(nil))}}, "unknown authority"},
		"another authority": {&tls.Config{Certificates: []tls.Certificate{stranger.sign(t, leaf(nil))}}, "unknown authority"},
		"expired": {&tls.Config{Certificates: []tls.Certificate{trusted.sign(t, leaf(func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Hour)
		}))}}, "expired"},
		"not yet": {&tls.Config{Certificates: []tls.Certificate{trusted.sign(t, leaf(func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(time.Minute)
		}))}}, "not yet valid"},
		"another host": {&tls.Config{Certificates: []tls.Certificate{trusted.sign(t, leaf(func(c *x509.Certificate) {
			c.IPAddresses, c.DNSNames = nil, []string{"evil.test"}
		}))}}, "127.0.0.1"},
		"a name that moves a terminal": {&tls.Config{Certificates: []tls.Certificate{trusted.sign(t, leaf(func(c *x509.Certificate) {
			c.IPAddresses, c.DNSNames = nil, []string{"\x1b[2Jevil.test"}
		}))}}, ""},
		"for clients": {&tls.Config{Certificates: []tls.Certificate{trusted.sign(t, leaf(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}))}}, "key usage"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1); r.Proto != "HTTP/1.1" {
					t.Errorf("asked by %s", r.Proto)
				}
				fixed(emptyPage)(w, r)
			}))
			api.TLS, api.EnableHTTP2 = c.config, true
			api.Config.ErrorLog = log.New(io.Discard, "", 0)
			api.StartTLS()
			defer api.Close()
			roots := x509.NewCertPool()
			roots.AddCert(trusted.cert)
			transport := fetch.NewTransport(fetch.Config{Host: "127.0.0.1"})
			transport.TLSClientConfig.RootCAs, transport.TLSHandshakeTimeout = roots, time.Minute
			client, text := dialled(t, api.URL, fetch.Config{Tries: 2, Transport: transport})
			_, err := first(t, client, text)
			if good := name == "sound" || name == "TLS 1.2"; good {
				if err != nil || asked.Load() != 1 {
					t.Errorf("%d requests, %v", asked.Load(), err)
				}
				return
			}
			if wantTransient(t, err); asked.Load() > 0 || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%d requests, %q, want %q", asked.Load(), err, c.want)
			}
		})
	}
}

// An API that cannot be reached is a transient fault. The error names neither the query nor a secret.
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
			client, text := dialled(t, base, fetch.Config{Tries: 2})
			_, err := first(t, client, text)
			wantTransient(t, err)
			if strings.Contains(err.Error(), "limit=") {
				t.Errorf("%v shows what was asked for", err)
			}
		})
	}
}

// resolve answers all name lookups with one address, or says that there is no such name. It changes the whole process: no test
// beside it may look up names.
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
	client, text := dialled(t, "http://api.example", fetch.Config{Tries: 1})
	if _, err := first(t, client, text); err == nil || !strings.Contains(err.Error(), "no address for it") {
		t.Errorf("%v", err)
	}
	api := httptest.NewServer(fixed(emptyPage))
	defer api.Close()
	_, port, _ := net.SplitHostPort(api.Listener.Addr().String())
	resolve(t, "127.0.0.1")
	client, text = dialled(t, "http://api.example:"+port, fetch.Config{Tries: 1})
	if _, err := first(t, client, text); err != nil {
		t.Error(err)
	}
}

// A proxy of the environment gets its password, which is shown nowhere; this machine itself is asked without a proxy. The
// environment is read once a process, so each case is a process of its own.
func TestProxyOfTheEnvironment(t *testing.T) {
	const password = "pa55word-of-the-proxy"
	if base := os.Getenv("SLUICE_TEST_PROXIED"); base != "" {
		client, text := dialled(t, base, fetch.Config{Tries: 1})
		_, err := first(t, client, text)
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

// net/http repeats a GET by itself when a kept connection breaks before an answer. The pacer would not know of that request: it
// would exceed the quota, and go out during a pause. Here every second request of a connection meets its end.
func TestNothingIsSentThatThePacerDoesNotKnow(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn){
		"closed": func(c *net.TCPConn) { _ = c.Close() },
		"reset":  func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int64
			address := serveTCP(t, func(c *net.TCPConn) {
				r := bufio.NewReader(c)
				for n := 1; head(r) != ""; n++ {
					if seen.Add(1); n == 2 {
						end(c)
						return
					}
					_, _ = c.Write([]byte(reply(200, "", emptyPage)))
				}
			})
			client, text := dialled(t, "http://"+address, fetch.Config{Tries: 1})
			if _, err := first(t, client, text); err != nil {
				t.Fatal(err)
			}
			_, err := first(t, client, text)
			wantTransient(t, err)
			if known := client.pacer.Status()[0].Recent; seen.Load() != 2 || known != 2 {
				t.Errorf("%d requests on the wire, the pacer knows of %d, want 2", seen.Load(), known)
			}
		})
	}
}

// The server counts a request from when it comes in. With a limit of one a minute, the next one after a slow handshake has to
// wait for a minute from then, not from when the pacer let the first through.
func TestSlowHandshakeMovesTheRequestInTheLog(t *testing.T) {
	oneAMinute := quota.Config{Quotas: one(quota.Limit{N: 1, Window: time.Minute})}
	var at []time.Duration
	var start time.Time
	play(t, scene{pacer: oneAMinute, answer: func(w http.ResponseWriter, r *http.Request) {
		at = append(at, time.Since(start))
		fixed(emptyPage)(w, r)
	}}, func(w *world) {
		start = time.Now()
		w.pipe.slow = 4 * time.Second
		for range 2 {
			if _, err := w.ask(); err != nil {
				w.t.Fatal(err)
			}
			w.pipe.slow = 0
		}
		if len(at) != 2 || at[0] != 4*time.Second || at[1] != 65*time.Second {
			w.t.Errorf("requests after %v, want after 4s and %v", at, 65*time.Second)
		}
	})
}

// While the API cannot be reached, nothing is spent: it has counted nothing.
func TestOutageSpendsNoQuota(t *testing.T) {
	play(t, scene{pacer: quota.Config{Quotas: one(quota.Limit{N: 3, Window: time.Hour})}, answer: fixed(emptyPage)}, func(w *world) {
		w.pipe.refuse.Store(true)
		for range 20 {
			_, err := w.ask()
			wantTransient(w.t, err)
		}
		w.pipe.refuse.Store(false)
		start := time.Now()
		if _, err := w.ask(); err != nil || time.Since(start) > time.Second {
			w.t.Errorf("after the outage: %v after %v", err, time.Since(start))
		}
		if n := w.pacer.Status()[0].Recent; n != 1 {
			w.t.Errorf("the pacer counted %d requests, the API saw one", n)
		}
	})
}

type connTo struct {
	net.Conn
	address string
}

func (c connTo) RemoteAddr() net.Addr { return &net.UnixAddr{Name: c.address} }

// A name that was public and then leads inside was rebound. A host that the operator gave as an address is not checked.
func TestRebindingIsRefused(t *testing.T) {
	outside, insides := "93.184.216.34:443", []string{"127.0.0.1:443", "10.1.2.3:443", "[::1]:443", "[fd00::1]:443", "[::ffff:192.168.0.1]:443", "172.16.0.1:80"}
	never := []string{"169.254.169.254:80", "[fe80::1]:80", "0.0.0.0:80", "[::]:80", "224.0.0.1:80", "[::ffff:169.254.1.1]:80", "x"}
	d := fetch.NewDialer("api.example")
	for _, address := range append(insides, outside) {
		if err := d.Control("tcp", address, nil); err != nil {
			t.Errorf("before: %v", err)
		}
	}
	d.Note(connTo{address: insides[0]})
	d.Note(connTo{address: outside})
	for _, address := range append(insides, never...) {
		if err := d.Control("tcp", address, nil); err == nil {
			t.Errorf("%s is allowed after a public address", address)
		}
	}
	if err := d.Control("tcp", outside, nil); err != nil {
		t.Error(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "169.254.169.254", "::1", "10.0.0.1"} {
		if fetch.NewDialer(host).Control != nil {
			t.Errorf("%s is looked at", host)
		}
	}
}

// A proxy whose address cannot be read would be bypassed in silence.
func TestAMalformedProxyIsRefused(t *testing.T) {
	for address, fits := range map[string]bool{
		"http://proxy:3128": true, "proxy:3128": true, "proxy": true, "socks5://proxy:1080": true, "https://u:p@proxy": true,
		"http//CANARY@proxy:3128": false, "http://u:CANARY%@proxy": false, "http://:3128": false, "htp://proxy:3128": false, "://proxy": false, "proxy:port": false,
	} {
		for _, name := range []string{"HTTPS_PROXY", "http_proxy"} {
			t.Setenv(name, address)
			pacer, err := quota.NewPacer(quota.Config{Quotas: []quota.Spec{{Name: "all"}}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fetch.New(fetch.Config{Host: "127.0.0.1", Pacer: pacer}, nil); err != nil {
				t.Errorf("for this machine, %q: %v", address, err)
			}
			_, err = fetch.New(fetch.Config{Host: "api.example", Pacer: pacer}, nil)
			if (err == nil) != fits || err != nil && (!strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "CANARY")) {
				t.Errorf("%s=%q: %v", name, address, err)
			}
			t.Setenv(name, "")
		}
	}
}
