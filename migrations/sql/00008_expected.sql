-- +goose Up

-- Events that a shard of the first round had when its window was opened again because rows were gone: while it has fewer, they are
-- lost. Windows that were opened together have them in sum. Null: it never was, or what was lost is accepted.
alter table ingestion_shards add column expected bigint;

-- Rows that lay in the window of a shard of the first round when the job was last verified, whoever stored them.
alter table ingestion_shards add column verified_rows bigint;

-- The event that a dead letter was stored as when it was replayed: if that is gone from the table, it is a dead letter again.
alter table dead_letters add column replayed_as uuid;
