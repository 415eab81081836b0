-- +goose Up

-- Page requests that a round has cost, by all runs that worked on it: of the first load, those of the look at the API too.
alter table ingestion_rounds add column requests bigint not null default 0;
