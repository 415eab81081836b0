package main

import (
	"context"
	"fmt"
	"net/url"

	"sluice/sink/embedpg"
)

// Databases on a private server or one that compose started, so that the demo never mixes with a real job.
const (
	databaseDemo = "sluice_demo"
	databaseReal = "sluice"
)

// database is where the rows go.
type database struct {
	url     string
	private *embedpg.Server // nil where DATABASE_URL was given
	name    string
}

// findDatabase uses DATABASE_URL, or makes and starts a private server.
func (p *program) findDatabase(ctx context.Context, s *settings) (database, error) {
	if s.database != "" {
		p.say("database: DATABASE_URL (%s)", shownURL(s.database))
		return database{url: s.database}, nil
	}
	server, err := embedpg.Start(ctx, embedpg.Config{Say: func(line string) { p.say("%s", line) }})
	if err != nil {
		return database{}, fail(exitUnreachable, "set DATABASE_URL to use a PostgreSQL of your own", err)
	}
	name := p.databaseName()
	if err := server.EnsureDatabase(ctx, name); err != nil {
		return database{}, err
	}
	status := server.Status(ctx)
	p.say("database: private PostgreSQL on 127.0.0.1:%d, database %s, data in %s", status.Port, name, status.Dir)
	return database{url: server.URL(name), private: server, name: name}, nil
}

// existingDatabase finds the database of an earlier run and creates nothing: for every command but run.
func (p *program) existingDatabase(ctx context.Context) (database, error) {
	if given := p.env(envDatabase); given != "" {
		return database{url: given}, nil
	}
	server, err := findServer()
	if err == nil {
		err = server.Start(ctx)
	}
	if err != nil {
		return database{}, fail(exitUnreachable, "set DATABASE_URL, or run `sluice run` first", err)
	}
	name := p.databaseName()
	return database{url: server.URL(name), private: server, name: name}, nil
}

// shownURL returns a connection string without its password, as host and database.
func shownURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "as given"
	}
	return fmt.Sprintf("%s%s", u.Host, u.Path)
}
