package doctor

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestHowTheLineIsKept(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://u@localhost/d":                                 "local",
		"postgres://u@127.0.0.1/d":                                 "local",
		"postgres://u@[::1]/d":                                     "local",
		"host=/var/run/postgresql user=u":                          "local",
		"postgres://u@db.example.com/d":                            "plain",
		"postgres://u@db.example.com/d?sslmode=disable":            "plain",
		"postgres://u@db.example.com/d?sslmode=allow":              "plain",
		"postgres://u@db.example.com/d?sslmode=prefer":             "plain",
		"postgres://u@127.example.com,127.0.0.1/d?sslmode=disable": "plain",
		"postgres://u@db.example.com/d?sslmode=require":            "unverified",
		"postgres://u@db.example.com/d?sslmode=verify-ca":          "verified",
		"postgres://u@db.example.com/d?sslmode=verify-full":        "verified",
	} {
		config, err := pgx.ParseConfig(url)
		must(t, err)
		have := "verified"
		switch {
		case isLocal(config.Host):
			have = "local"
		case !alwaysEncrypted(config):
			have = "plain"
		case !verified(config):
			have = "unverified"
		}
		equal(t, url, have, want)
	}
}
