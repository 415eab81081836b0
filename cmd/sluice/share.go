package main

import (
	"context"
	"log/slog"

	"sluice/fetch/quota"
	"sluice/sink"
)

// share lets a command that only looks at the API spend the quota that runs know of, and know of what it spends: the pacer
// begins with what is in the table, and the returned function writes it back. A database without the table has nothing to tell.
func (p *program) share(ctx context.Context, db *sink.Postgres, source string, pacer *quota.Pacer) (save func()) {
	if joinQuotas(ctx, db, source, pacer) != nil {
		return func() {}
	}
	return func() {
		ctx, cancel := lastWrite(ctx)
		defer cancel()
		_ = pacer.Leave(ctx) // a look at the API does not fail for that
	}
}

// shareIfAny does the same where there is a database that answers, and makes or starts none.
func (p *program) shareIfAny(ctx context.Context, source string, pacer *quota.Pacer, log *slog.Logger) (save func()) {
	url := p.runningURL(ctx)
	if url == "" {
		return func() {}
	}
	db, err := sink.Open(ctx, sink.Config{URL: url, Writers: 1, Log: log})
	if err != nil {
		return func() {}
	}
	written := p.share(ctx, db, source, pacer)
	return func() {
		written()
		db.Close()
	}
}

// runningURL is the database that is given, or the private one if it runs; "" if there is none.
func (p *program) runningURL(ctx context.Context) string {
	if url := p.env(envDatabase); url != "" {
		return url
	}
	if server, err := findServer(); err == nil && server.Status(ctx).Running {
		return server.URL(p.databaseName(server))
	}
	return ""
}
