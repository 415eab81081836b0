-- +goose Up

-- Witnesses: a few of the records on each side of its window that a shard dropped, because its neighbours store them. The check looks
-- for each of them in the table; if one is nowhere after its window was walked again, it is stored from here.
alter table ingestion_shards
  add column witnesses jsonb,                    -- {"newer": [...], "older": [...]}
  add column reopened  integer not null default 0; -- how often the window was opened again: its end needs a better proof each time
