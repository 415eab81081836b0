-- +goose Up

-- Why the data of a job may not be complete. A doubt stays until evidence lifts it, or a decision of the operator: no verdict
-- is "complete" while one is open. There is one row for each kind that is open or was lifted by evidence, and one for each decision.
create table ingestion_doubts (
  id        bigint      generated always as identity primary key,
  job_id    bigint      not null references ingestion_jobs,
  kind      text        not null,
  reason    text        not null,               -- for people, whole
  amount    bigint      not null default 0,     -- of events or rows that it is about; 0: not known
  detail    jsonb       not null default '{}',  -- what lifting it needs to know
  since     timestamptz not null default clock_timestamp(),
  lifted_at timestamptz,
  lifted_by text,                               -- 'evidence', or the decision
  check ((lifted_at is null) = (lifted_by is null))
);
create unique index ingestion_doubts_open_idx on ingestion_doubts (job_id, kind) where lifted_at is null;

-- Identity and change counters of ingested_events when it was verified last. Null: not known.
alter table ingestion_jobs add column table_state jsonb;

-- Rows of ingested_events when the round began, as all ledgers count them. Null: not known.
alter table ingestion_rounds add column rows_before bigint;
