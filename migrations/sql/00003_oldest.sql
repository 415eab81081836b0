-- +goose Up

-- A window that is open to the past is split while it is walked, and a half needs two ends: the oldest event that the survey of
-- the source found, nearly. Null: it is not known, and that window stays whole.
alter table ingestion_jobs add column oldest timestamptz;
