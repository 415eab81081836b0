package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/fetch/apisim"
	"sluice/sink/pgtest"
)

// testPlace is a simulator and a database for a child.
func testPlace(t *testing.T, events int64) place {
	t.Helper()
	sim, err := apisim.New(apisim.Config{Seed: 1, Events: events})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return place{api: server.URL, database: pgtest.Database(t), shards: 4}
}

// holds compares a child's table with the truth.
func holds(t *testing.T, p place, events int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	data, err := know(events, 0)
	if err != nil {
		t.Fatal(err)
	}
	var have apisim.Sum
	if err := conn.QueryRow(t.Context(), apisim.TruthSQL, nil, nil).Scan(&have.Rows, &have.Hash); err != nil || have != data.truth {
		t.Errorf("the table holds %+v, not %+v (%v)", have, data.truth, err)
	}
}

// What is slow for doing something else would be no comparison: the old way ends with the right rows, too.
func TestTheOldWayStoresEverything(t *testing.T) {
	const events = 6_345 // the last INSERT is shorter than the others
	p := testPlace(t, events)
	if err := migrate(t.Context(), p.database); err != nil {
		t.Fatal(err)
	}
	if err := oldWay(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	holds(t, p, events)
}

func TestAllocationsAreCountedOfAWholeLoad(t *testing.T) {
	const events = 8_000
	p := testPlace(t, events)
	p.profile = t.TempDir() + "/cpu.pprof"
	var said bytes.Buffer
	if err := allocations(t.Context(), p, &said); err != nil {
		t.Fatal(err)
	}
	holds(t, p, events)
	var counted allocated
	if err := json.Unmarshal(said.Bytes(), &counted); err != nil || counted.Mallocs < 100 || counted.Bytes < 100*events { // a row's own bytes alone are more
		t.Errorf("%s: %v", said.String(), err)
	}
}

func TestAllocationsAreThoseOfARow(t *testing.T) {
	all := allocationFigures(allocated{Rows: 1000, Mallocs: 2500, Bytes: 640_000})
	near(t, "allocations", all[0].Value, 2.5)
	near(t, "bytes", all[1].Value, 640)
	if all[0].met() {
		t.Error("2.5 is more than the goal, and yet it is met")
	}
}

func TestPlaceholders(t *testing.T) {
	if got := placeholders(2, 3); got != "($1, $2, $3), ($4, $5, $6)" {
		t.Error(got)
	}
}

func TestOldTimeReadsBothForms(t *testing.T) {
	want := time.UnixMilli(1769541612369).UTC()
	for _, v := range []any{1769541612369., "2026-01-27T19:20:12.369Z"} {
		if got, err := oldTime(v); err != nil || !got.Equal(want) {
			t.Errorf("%v: %v, %v", v, got, err)
		}
	}
	if got, err := oldTime(nil); err == nil {
		t.Error(got)
	}
}
