package cli

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"sluice/fetch/datasync"
	"sluice/sink"
)

// shareIfAny lets a command that only looks at the API spend the quotas that runs know of, and tell them what it spent, if there is
// a database that answers; none is made or started. The returned function writes the quotas back.
func (p *Program) shareIfAny(ctx context.Context, source string, client *datasync.Client, log *slog.Logger) (save func()) {
	url := p.runningURL(ctx)
	if url == "" {
		return func() {}
	}
	db, err := sink.Open(ctx, sink.Config{URL: url, Writers: 1, Log: log})
	if err != nil {
		return func() {}
	}
	joined := client.Join(ctx, db, source, uuid.NewString()) == nil // an older database has no such table
	return func() {
		defer db.Close()
		if joined {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			_ = client.Leave(ctx) // a look at the API does not fail for that
		}
	}
}

// runningURL is the database that is given, or the private one if it runs; "" if there is none.
func (p *Program) runningURL(ctx context.Context) string {
	if url := p.env(EnvDatabase); url != "" {
		return url
	}
	if server, err := findServer(); err == nil && server.Status(ctx).Running {
		return server.URL(p.databaseName(server))
	}
	return ""
}
