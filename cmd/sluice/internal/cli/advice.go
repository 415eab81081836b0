package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"sluice/sink"
)

// startHint is what to do about an error that kept work from starting; "" where nothing better is known than what the exit code
// suggests.
func startHint(err error) string {
	var database *sink.ConnectError
	var dns *net.DNSError
	var untrusted x509.UnknownAuthorityError
	var otherHost x509.HostnameError
	var waited net.Error
	switch {
	case errors.As(err, &database):
		return database.Hint
	case errors.Is(err, sink.ErrURL):
		return "correct DATABASE_URL; nothing of it is shown here, because it may hold a password"
	case errors.As(err, &dns):
		return "the host of API_BASE_URL is not known here: correct its name, or look after this machine's DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at API_BASE_URL: correct host and port, or start the API"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "what answers speaks plain http: begin API_BASE_URL with http://"
	case errors.As(err, &untrusted), errors.As(err, &otherHost):
		return "the API's certificate is not to be trusted: correct API_BASE_URL, or install the certificate's authority on this machine"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "what listens at API_BASE_URL does not speak http: correct its port, or begin it with https://"
	case errors.As(err, &waited) && waited.Timeout():
		return "the API does not answer: is it reachable from here?"
	}
	return ""
}

// writable makes sure that a file can be made beside path: at the end of a run of hours it is too late to find that out.
func writable(path string) error {
	if path == "" {
		return nil
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".sluice-*")
	if err != nil {
		return fmt.Errorf("nothing can be written to %s: %w", filepath.Dir(path), errors.Unwrap(err))
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
