package sink

import (
	"context"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
)

const verifyFull = "end DATABASE_URL with ?sslmode=verify-full, and &sslrootcert=<file> for a CA of your own"

// probeLine looks at how rows and password travel to the server.
func probeLine(_ context.Context, conn *pgx.Conn) (Level, string, string, error) {
	config := conn.Config()
	switch {
	case isLocal(config.Host):
		return OK, "does not leave this machine", "", nil
	case !alwaysEncrypted(config):
		return Warn, "may cross the network in plain text", verifyFull, nil
	case !verified(config):
		return Warn, "encrypted, but anybody could be at the other end", verifyFull, nil
	}
	return OK, "encrypted, and the server's certificate is checked", "", nil
}

// isLocal tells whether a host, or the directory of a socket, is on this machine.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || ip != nil && ip.IsLoopback()
}

// alwaysEncrypted tells whether no way of connecting is without TLS: with sslmode=prefer, the default, whoever stands in
// between can ask for plain text.
func alwaysEncrypted(config *pgx.ConnConfig) bool {
	for _, other := range config.Fallbacks {
		if other.TLSConfig == nil {
			return false
		}
	}
	return config.TLSConfig != nil
}

// verified tells whether the certificate must fit the host's name (verify-full), or at least the CA (verify-ca).
func verified(config *pgx.ConnConfig) bool {
	return !config.TLSConfig.InsecureSkipVerify || config.TLSConfig.VerifyPeerCertificate != nil
}
