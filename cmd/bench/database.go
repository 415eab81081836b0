package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"sluice/fetch/apisim"
)

func (w *world) check(ctx context.Context) error { return w.stand.check(ctx, w.database, w.data.truth) }

// check compares a table with what it must hold.
func (s *stand) check(ctx context.Context, database string, truth apisim.Sum) error {
	conn, err := s.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var have apisim.Sum
	if err := conn.QueryRow(ctx, apisim.TruthSQL, nil, nil).Scan(&have.Rows, &have.Hash); err != nil {
		return fmt.Errorf("check the rows: %w", err)
	}
	if have != truth {
		return fmt.Errorf("the table of %s holds %d rows with hash %s, it should hold %d with %s",
			database, have.Rows, have.Hash, truth.Rows, truth.Hash)
	}
	return nil
}

const checkpoint = `checkpoint`

// settle writes out what came before, so that it is not written in the next load's time.
func (s *stand) settle(ctx context.Context) error {
	s.adminMu.Lock()
	defer s.adminMu.Unlock()
	_, err := s.admin.Exec(ctx, checkpoint)
	return err
}

func (s *stand) makeDatabase(ctx context.Context) (string, error) {
	s.adminMu.Lock()
	defer s.adminMu.Unlock()
	s.loads++
	name := fmt.Sprintf("load_%d", s.loads)
	return name, s.server.EnsureDatabase(ctx, name)
}

const dropDatabase = `drop database if exists %s with (force)`

func (s *stand) drop(ctx context.Context, database string) {
	s.adminMu.Lock()
	defer s.adminMu.Unlock()
	if _, err := s.admin.Exec(ctx, fmt.Sprintf(dropDatabase, pgx.Identifier{database}.Sanitize())); err != nil {
		s.say("drop database %s: %v", database, err)
	}
}
