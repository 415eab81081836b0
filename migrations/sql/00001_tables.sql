-- +goose Up

-- One row per event, exactly once: the key is what makes reading twice harmless. Not partitioned, because a partitioned
-- table could not keep id alone unique.
create table if not exists ingested_events (
  id          uuid         primary key,
  session_id  uuid         not null,
  user_id     uuid         not null,
  type        varchar(50)  not null,
  name        varchar(100) not null,
  properties  jsonb        not null default '{}',
  "timestamp" timestamptz  not null,
  device_type varchar(20)  not null,
  browser     varchar(50)  not null,
  ingested_at timestamptz  not null default now()
);

-- A job is one source and one span.
create table ingestion_jobs (
  id           bigint      generated always as identity primary key,
  name         text        not null unique,
  source       text        not null,
  span_start   timestamptz not null,           -- -infinity: open to the past
  span_end     timestamptz not null,           -- infinity: open to the future
  shards       integer     not null,
  capabilities jsonb       not null default '{}',
  api_total    bigint,                         -- events that the API counted at the start; null: it told no number
  rows_before  bigint      not null,           -- rows of ingested_events when the job was made
  round        integer     not null default 1,
  watermark    timestamptz,
  verified_at  timestamptz,
  verdict      text,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  check (span_start < span_end),
  check (shards > 0)
);

-- A shard is one window and its progress. Its row is written in the transaction of the rows it counts.
create table ingestion_shards (
  id                bigint      generated always as identity primary key,
  job_id            bigint      not null references ingestion_jobs,
  round             integer     not null,
  shard             integer     not null,      -- 1 is the oldest window of the round
  parent_id         bigint      references ingestion_shards,
  window_start      timestamptz not null,
  window_end        timestamptz not null,
  seq               bigint      not null default 0,
  cursor            text,
  cursor_expires_at timestamptz,
  resume_at         timestamptz,
  resume_id         uuid,
  received          bigint      not null default 0,
  events            bigint      not null default 0,
  duplicates        bigint      not null default 0,
  out_of_window     bigint      not null default 0,
  dead_letters      bigint      not null default 0,
  out_of_order      bigint      not null default 0,
  dead_duplicates   bigint      not null default 0, -- of duplicates: rejects without a readable id, known byte for byte
  end_proof         text        check (end_proof in ('older', 'confirmed')),
  state             text        not null default 'pending'
                                check (state in ('pending', 'running', 'done', 'failed', 'suspect')),
  attempts          integer     not null default 0,
  last_error        text,
  run_id            uuid,
  started_at        timestamptz,
  updated_at        timestamptz not null default now(),
  unique (job_id, round, shard),
  check (window_start < window_end),
  check ((resume_at is null) = (resume_id is null)),
  constraint done_is_proven check (state <> 'done' or end_proof is not null),
  constraint nothing_is_lost check (received = events + duplicates + out_of_window + dead_letters),
  constraint counts_are_counts check (least(events, duplicates, out_of_window, dead_letters, out_of_order, dead_duplicates) >= 0)
) with (fillfactor = 50); -- room for the next version of a row beside it: a commit touches no index of this table

-- A record that could not become a row, byte for byte.
create table dead_letters (
  id          bigint      generated always as identity primary key,
  job_id      bigint      not null,            -- that of the shard; no key of its own, so that no commit locks the job
  shard_id    bigint      not null references ingestion_shards,
  seq         bigint      not null,
  sha256      bytea       not null,
  raw         bytea       not null,
  raw_bytes   bigint      not null,            -- the whole length, where raw is only the beginning
  event_id    text,                            -- as received, where one was readable
  reason      text        not null,
  detail      text        not null,
  endpoint    text        not null,
  received_at timestamptz not null default now(),
  replayed_at timestamptz,
  unique (job_id, sha256)
);
create index dead_letters_shard_id_idx on dead_letters (shard_id);

-- What was learned of each endpoint's limit, and the requests of its last window: all runs spend one quota.
create table api_quotas (
  source     text          not null,
  endpoint   text          not null,
  limit_n    integer       not null,
  window_ms  bigint        not null,
  not_before timestamptz,
  sent       timestamptz[] not null default '{}',
  updated_at timestamptz   not null default now(),
  primary key (source, endpoint)
);
