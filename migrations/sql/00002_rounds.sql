-- +goose Up

-- A round is one pass over the end of a job's span: the first load is round 1. Its candidate is written at its start, with its
-- windows, and becomes the job's watermark when all of them are done.
create table ingestion_rounds (
  job_id      bigint      not null references ingestion_jobs,
  round       integer     not null,
  span_start  timestamptz not null,
  span_end    timestamptz not null,
  shards      integer     not null,
  late_before timestamptz,                    -- the watermark at the start: an event before it comes late; null: there was none
  lookback    interval    not null default '0',
  candidate   timestamptz,                    -- null: not known, the job is older than this table
  newest      timestamptz,                    -- event on the first page of the round
  api_total   bigint,                         -- events that the API counted on that page; null: it told no number
  missing     bigint      not null default 0, -- of them, those that nothing in the ledger accounts for at the end
  started_at  timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  primary key (job_id, round),
  check (span_start < span_end),
  check (shards > 0)
);

insert into ingestion_rounds (job_id, round, span_start, span_end, shards, api_total, started_at, finished_at)
select id, 1, span_start, span_end, shards, api_total, created_at, verified_at from ingestion_jobs;

-- Of the events that a shard stored, those that came after a round had passed them, by how far they lay behind the watermark.
alter table ingestion_shards
  add column late_minute      bigint not null default 0, -- up to a minute
  add column late_ten_minutes bigint not null default 0, -- up to ten
  add column late_hour        bigint not null default 0, -- up to an hour
  add column late_older       bigint not null default 0,
  add column late_most        interval not null default '0'; -- the oldest of them
