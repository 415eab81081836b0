package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// oldRows are the rows of one INSERT of the old system.
const oldRows = 1000

// oldLoad runs the old system's way in a world of its own, on a share of the events: it is slow.
func (s *stand) oldLoad(ctx context.Context) (load, error) {
	data, err := know(max(1, s.events/s.oldShare), 0)
	if err != nil {
		return load{}, err
	}
	w, err := s.newWorld(ctx, data)
	if err != nil {
		return load{}, err
	}
	defer w.close(ctx)
	if err := migrate(ctx, s.server.URL(w.database)); err != nil {
		return load{}, err
	}
	cmd, err := w.child(ctx, "old-way")
	if err != nil {
		return load{}, err
	}
	l, err := w.measure(cmd)
	if err == nil {
		err = w.check(ctx)
	}
	return l, err
}

// oldWay is the system before Sluice, as far as its speed goes: one chain of pages of the list, each decoded as a whole, then
// written by INSERTs of 1,000 rows each that skip what is there, and one row that says how far it is. It is written in Go,
// commits once a page, and does nothing else, which flatters it.
func oldWay(ctx context.Context, p place, _ io.Writer) error {
	conn, err := pgx.Connect(ctx, p.database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, createState); err != nil {
		return err
	}
	for cursor, stored := "", 0; ; {
		page, err := oldPage(ctx, p.api, cursor)
		if err != nil {
			return err
		}
		cursor, stored = page.Pagination.NextCursor, stored+len(page.Data)
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return oldStore(ctx, tx, page, stored) })
		if err != nil || !page.Pagination.HasMore {
			return err
		}
	}
}

const createState = `create table ingestion_state (id integer primary key, cursor text, stored bigint, updated_at timestamptz)`

// oldAnswer is a page as a plain decoder takes it.
type oldAnswer struct {
	Data []struct {
		ID         string          `json:"id"`
		SessionID  string          `json:"sessionId"`
		UserID     string          `json:"userId"`
		Type       string          `json:"type"`
		Name       string          `json:"name"`
		Properties json.RawMessage `json:"properties"`
		Timestamp  any             `json:"timestamp"`
		Session    struct {
			DeviceType string `json:"deviceType"`
			Browser    string `json:"browser"`
		} `json:"session"`
	} `json:"data"`
	Pagination struct {
		HasMore    bool   `json:"hasMore"`
		NextCursor string `json:"nextCursor"`
	} `json:"pagination"`
}

func oldPage(ctx context.Context, api, cursor string) (*oldAnswer, error) {
	query := url.Values{"limit": {"5000"}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/api/v1/events?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", "ds_bench")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d, %w", resp.StatusCode, err)
	}
	page := &oldAnswer{}
	return page, json.Unmarshal(body, page)
}

const (
	insertValues = `insert into public.ingested_events (` + copyColumns + `) values `
	skipKnown    = ` on conflict (id) do nothing`
	saveState    = `
insert into ingestion_state values (1, $1, $2, now())
on conflict (id) do update set cursor = excluded.cursor, stored = excluded.stored, updated_at = excluded.updated_at`
)

// oldStore writes a page and how far it is.
func oldStore(ctx context.Context, tx pgx.Tx, page *oldAnswer, stored int) error {
	for first := 0; first < len(page.Data); first += oldRows {
		rows := page.Data[first:min(first+oldRows, len(page.Data))]
		args := make([]any, 0, len(rows)*9)
		for i := range rows {
			r := &rows[i]
			at, err := oldTime(r.Timestamp)
			if err != nil {
				return err
			}
			args = append(args, r.ID, r.SessionID, r.UserID, r.Type, r.Name, string(r.Properties), at, r.Session.DeviceType, r.Session.Browser)
		}
		// Each statement is parsed anew, with its values as text, as the drivers of scripting languages do it.
		args = append([]any{pgx.QueryExecModeExec}, args...)
		if _, err := tx.Exec(ctx, insertValues+placeholders(len(rows), 9)+skipKnown, args...); err != nil {
			return fmt.Errorf("insert %d rows: %w", len(rows), err)
		}
	}
	_, err := tx.Exec(ctx, saveState, page.Pagination.NextCursor, stored)
	return err
}

// oldTime reads both forms of a timestamp.
func oldTime(v any) (time.Time, error) {
	switch v := v.(type) {
	case float64:
		return time.UnixMilli(int64(v)).UTC(), nil
	case string:
		return time.Parse(time.RFC3339Nano, v)
	}
	return time.Time{}, fmt.Errorf("timestamp %v is neither a number nor a string", v)
}

// placeholders are ($1, $2), ($3, $4) and so on.
func placeholders(rows, columns int) string {
	var b strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	b.WriteByte(')')
	return b.String()
}
