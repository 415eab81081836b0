package main

import (
	"context"
	"fmt"
)

// measureDuplicates loads everything, and then once more under another job: every row is there already.
func measureDuplicates(ctx context.Context, s *stand) ([]Figure, error) {
	w, err := s.newWorld(ctx, s.data)
	if err != nil {
		return nil, err
	}
	defer w.close(ctx)
	fresh, err := w.ingest(ctx, s.shards, unlimited...)
	if err != nil {
		return nil, err
	}
	again, err := w.ingest(ctx, s.shards, append([]string{"--job=again"}, unlimited...)...)
	if err != nil {
		return nil, err
	}
	s.say("fresh %.0f, duplicates %.0f thousand rows/s", fresh.ingested(), again.ingested())
	return duplicateFigures(s.shards, fresh, again), w.check(ctx)
}

func duplicateFigures(shards int, fresh, again load) []Figure {
	named := func(what string) string { return fmt.Sprintf("%s, shards=%d", what, shards) }
	return []Figure{
		Sample{fresh.ingested()}.figure(named("fresh"), thousandRows),
		Sample{again.ingested()}.figure(named("all duplicates"), thousandRows).
			beside("fresh", Sample{again.ingested() / fresh.ingested()}),
		Sample{again.micros(again.client)}.figure("all duplicates: sluice", microsARow),
		Sample{again.micros(again.postgres)}.figure("all duplicates: PostgreSQL", microsARow),
	}
}
