package datasync

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/fetch"
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

// An API that cannot prove who it is gets neither the key nor a request, in the clear either; a sound one is asked by HTTP/1.1,
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
			client, text := dialled(t, api.URL, Config{Fetch: fetch.Config{Tries: 2, Transport: transport}})
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
