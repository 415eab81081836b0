-- +goose Up
-- Who spends of a quota now: each run that lives, by its id, with when it was last seen. While there are two, each request is
-- booked here before it is sent.
alter table api_quotas add column runs jsonb not null default '{}';
