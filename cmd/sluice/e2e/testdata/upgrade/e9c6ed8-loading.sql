SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.api_quotas (
    source text NOT NULL,
    endpoint text NOT NULL,
    limit_n integer NOT NULL,
    window_ms bigint NOT NULL,
    not_before timestamp with time zone,
    sent timestamp with time zone[] DEFAULT '{}'::timestamp with time zone[] NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    runs jsonb DEFAULT '{}'::jsonb NOT NULL
);
CREATE TABLE public.dead_letters (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    shard_id bigint NOT NULL,
    seq bigint NOT NULL,
    sha256 bytea NOT NULL,
    raw bytea NOT NULL,
    raw_bytes bigint NOT NULL,
    event_id text,
    reason text NOT NULL,
    detail text NOT NULL,
    endpoint text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    replayed_at timestamp with time zone
);
ALTER TABLE public.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.ingested_events (
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    user_id uuid NOT NULL,
    type character varying(50) NOT NULL,
    name character varying(100) NOT NULL,
    properties jsonb DEFAULT '{}'::jsonb NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    device_type character varying(20) NOT NULL,
    browser character varying(50) NOT NULL,
    ingested_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.ingestion_jobs (
    id bigint NOT NULL,
    name text NOT NULL,
    source text NOT NULL,
    span_start timestamp with time zone NOT NULL,
    span_end timestamp with time zone NOT NULL,
    shards integer NOT NULL,
    capabilities jsonb DEFAULT '{}'::jsonb NOT NULL,
    api_total bigint,
    rows_before bigint NOT NULL,
    round integer DEFAULT 1 NOT NULL,
    watermark timestamp with time zone,
    verified_at timestamp with time zone,
    verdict text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    oldest timestamp with time zone,
    CONSTRAINT ingestion_jobs_check CHECK ((span_start < span_end)),
    CONSTRAINT ingestion_jobs_shards_check CHECK ((shards > 0))
);
ALTER TABLE public.ingestion_jobs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.ingestion_jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.ingestion_rounds (
    job_id bigint NOT NULL,
    round integer NOT NULL,
    span_start timestamp with time zone NOT NULL,
    span_end timestamp with time zone NOT NULL,
    shards integer NOT NULL,
    late_before timestamp with time zone,
    lookback interval DEFAULT '00:00:00'::interval NOT NULL,
    candidate timestamp with time zone,
    newest timestamp with time zone,
    api_total bigint,
    missing bigint DEFAULT 0 NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone,
    requests bigint DEFAULT 0 NOT NULL,
    CONSTRAINT ingestion_rounds_check CHECK ((span_start < span_end)),
    CONSTRAINT ingestion_rounds_shards_check CHECK ((shards > 0))
);
CREATE TABLE public.ingestion_shards (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    round integer NOT NULL,
    shard integer NOT NULL,
    parent_id bigint,
    window_start timestamp with time zone NOT NULL,
    window_end timestamp with time zone NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    cursor text,
    cursor_expires_at timestamp with time zone,
    resume_at timestamp with time zone,
    resume_id uuid,
    received bigint DEFAULT 0 NOT NULL,
    events bigint DEFAULT 0 NOT NULL,
    duplicates bigint DEFAULT 0 NOT NULL,
    out_of_window bigint DEFAULT 0 NOT NULL,
    dead_letters bigint DEFAULT 0 NOT NULL,
    out_of_order bigint DEFAULT 0 NOT NULL,
    dead_duplicates bigint DEFAULT 0 NOT NULL,
    end_proof text,
    state text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    run_id uuid,
    started_at timestamp with time zone,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    late_minute bigint DEFAULT 0 NOT NULL,
    late_ten_minutes bigint DEFAULT 0 NOT NULL,
    late_hour bigint DEFAULT 0 NOT NULL,
    late_older bigint DEFAULT 0 NOT NULL,
    late_most interval DEFAULT '00:00:00'::interval NOT NULL,
    CONSTRAINT counts_are_counts CHECK ((LEAST(events, duplicates, out_of_window, dead_letters, out_of_order, dead_duplicates) >= 0)),
    CONSTRAINT done_is_proven CHECK (((state <> 'done'::text) OR (end_proof IS NOT NULL))),
    CONSTRAINT ingestion_shards_check CHECK ((window_start < window_end)),
    CONSTRAINT ingestion_shards_check1 CHECK (((resume_at IS NULL) = (resume_id IS NULL))),
    CONSTRAINT ingestion_shards_end_proof_check CHECK ((end_proof = ANY (ARRAY['older'::text, 'confirmed'::text]))),
    CONSTRAINT ingestion_shards_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'running'::text, 'done'::text, 'failed'::text, 'suspect'::text]))),
    CONSTRAINT nothing_is_lost CHECK ((received = (((events + duplicates) + out_of_window) + dead_letters)))
)
WITH (fillfactor='50');
ALTER TABLE public.ingestion_shards ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.ingestion_shards_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.sluice_migrations (
    id integer NOT NULL,
    version_id bigint NOT NULL,
    is_applied boolean NOT NULL,
    tstamp timestamp without time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.sluice_migrations ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.sluice_migrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
INSERT INTO public.api_quotas VALUES
	('https://upgrade.example', 'list', 0, 0, NULL, '{}', '2026-12-01 00:27:08.508366+00', '{}'),
	('https://upgrade.example', 'stream', 0, 0, NULL, '{}', '2026-12-01 00:27:08.508415+00', '{}');
INSERT INTO public.ingested_events VALUES
	('07f15adc-9980-4a6c-a09a-878321c5d755', '1a02548d-e5a8-4c89-aa6d-267742b84a80', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_zhaiod', '{"page": "/home"}', '2026-11-16 08:48:03.668+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.588667+00'),
	('1ab104a7-8890-4c16-8d02-9b06716b7d94', '98d76013-d68f-4504-97e6-4706a7928174', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_vxqc50', '{"page": "/home"}', '2026-11-16 06:06:25.127+00', 'mobile', 'Safari', '2026-12-01 00:27:08.588667+00'),
	('1ccb48c7-dd29-4f40-8fbd-3f894cb0729f', 'daf2d351-0d9a-4c15-a4d5-a61973d080c0', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_nofuvy', '{"page": "/home"}', '2026-11-16 07:14:14.809+00', 'desktop', 'Safari', '2026-12-01 00:27:08.588667+00'),
	('22d5196b-334c-41d3-b717-9fb3adea8aad', '6e4d945b-fbe9-4328-ad9a-8c3be45b6295', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_se0yju', '{"page": "/home"}', '2026-11-16 05:16:38.26+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.588667+00'),
	('2a8a2ff0-6235-4f57-8b8e-708218ce90ec', '6ea6de3c-d36b-498a-bcfa-6397047bae8a', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'click', 'event_f48c53', '{"page": "/home"}', '2026-11-16 07:00:29.954+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.588667+00'),
	('2dda2add-79a3-4276-9041-25e8dc25641a', 'a0afc121-a0e9-4f7e-b1b2-d111fe40e9ff', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_j5t9dr', '{"page": "/home"}', '2026-11-16 04:05:24.736+00', 'desktop', 'Firefox', '2026-12-01 00:27:08.588667+00'),
	('32892dd3-9df6-41e8-912e-be88549d0570', '25929e1c-05af-4769-9a63-d2bca123ea22', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'click', 'event_lbu2qa', '{"page": "/home"}', '2026-11-16 03:11:24.457+00', 'mobile', 'Edge', '2026-12-01 00:27:08.588667+00'),
	('354d980f-8413-4688-97c1-17aeb17e234e', '45fb989a-bb1f-43e6-aad5-ee94eb8e461a', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_1i6egf', '{"page": "/home"}', '2026-11-16 09:27:58.166+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.588667+00'),
	('490c31f1-14a0-401b-b33c-39338fde2c71', '3abd51c0-4d68-48d5-ab58-086489358c45', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_62ngq9', '{"page": "/home"}', '2026-11-16 06:56:13.278+00', 'desktop', 'Safari', '2026-12-01 00:27:08.588667+00'),
	('5180e960-1c3e-4cb8-9d84-907889e7cdb3', 'e4b77bc4-bb4a-4f1f-bd3b-76e2482ee8e5', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_w7qv7s', '{"page": "/home"}', '2026-11-16 08:35:36.091+00', 'mobile', 'Chrome', '2026-12-01 00:27:08.588667+00'),
	('52ec7451-0167-40c0-b886-0e460c219895', 'd5d86915-f102-4a86-b51a-de18570fa3dd', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_3kpkd5', '{"page": "/home"}', '2026-11-15 22:43:43.026+00', 'tablet', 'Edge', '2026-12-01 00:27:08.588667+00'),
	('5694f776-beb1-4606-9c3f-11c8ecc9a3ac', 'bcf37d90-ef93-492d-b4f1-010857d19efb', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'form_submit', 'event_3oyyfw', '{"page": "/home"}', '2026-11-16 02:40:05.578+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.588667+00'),
	('66e30f81-ecb3-4fbe-847a-60decde1ad7f', 'de01cea0-c7f8-4d07-bb4e-975c00feb623', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_4klxrr', '{"page": "/home"}', '2026-11-16 00:53:31.132+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.588667+00'),
	('73324988-9965-400b-92a6-ff8cb11b18de', 'c6a43796-f465-40ac-a01b-015204fc0a76', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'purchase', 'event_iqlm4s', '{"page": "/home"}', '2026-11-16 05:13:14.366+00', 'mobile', 'Chrome', '2026-12-01 00:27:08.588667+00'),
	('7bcb8420-b375-41d4-84b4-4d91b3271043', '5d5ce6d7-f1a3-4f5c-bc6b-1892d6f9b2d1', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_nlan7z', '{"page": "/home"}', '2026-11-15 22:06:03.381+00', 'desktop', 'Chrome', '2026-12-01 00:27:08.588667+00'),
	('b297f034-9233-4219-b5d7-471dcfe581b2', '1a02548d-e5a8-4c89-aa6d-267742b84a80', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_do3auw', '{"page": "/home"}', '2026-11-15 22:28:21.637+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.588667+00'),
	('b380c8bc-c046-4f1f-89be-0b37c9d5306c', 'edf2e162-e45b-461f-adab-f1f522ad65af', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'api_call', 'event_lqq510', '{"page": "/home"}', '2026-11-16 07:22:49.8+00', 'desktop', 'Firefox', '2026-12-01 00:27:08.588667+00'),
	('c398ae43-b9dd-4831-8bea-c6eabfcc00e4', 'bcf37d90-ef93-492d-b4f1-010857d19efb', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_sm4342', '{"page": "/home"}', '2026-11-16 06:19:54.669+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.588667+00'),
	('dde9d49f-47b1-4459-b152-db8cb5b87b48', 'ed8cd236-f5c5-4bb1-af92-d8ec610715ee', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_9vf4t1', '{"page": "/home"}', '2026-11-16 06:29:28.831+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.588667+00'),
	('f6e8fdd3-4ca4-4486-82f2-e1e80746e7c2', '6ea6de3c-d36b-498a-bcfa-6397047bae8a', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_ksl5y1', '{"page": "/home"}', '2026-11-16 04:30:57.467+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.588667+00'),
	('02a664ab-1d1c-4581-93ae-8b86ff113a83', '7f61efd0-5536-4380-b409-a937e850a324', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_00qir7', '{"page": "/home"}', '2026-11-30 21:37:14.167+00', 'mobile', 'Firefox', '2026-12-01 00:27:08.609237+00'),
	('037a2daf-4568-4701-9b06-dfa50bfb022c', 'ed8cd236-f5c5-4bb1-af92-d8ec610715ee', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'api_call', 'event_outm8k', '{"page": "/home"}', '2026-11-30 14:12:59.994+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.609237+00'),
	('27515e88-2e67-4d07-80e8-b62e64d0ddc3', '84ef38f0-2269-44a6-9006-ae7a98862844', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_h1vred', '{"page": "/home"}', '2026-12-01 00:03:58.665+00', 'mobile', 'Safari', '2026-12-01 00:27:08.609237+00'),
	('28d1955a-1fed-4e54-8e99-b3236d5e3de4', 'd5d86915-f102-4a86-b51a-de18570fa3dd', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'scroll', 'event_rwlk32', '{"page": "/home"}', '2026-11-30 18:13:06.482+00', 'tablet', 'Edge', '2026-12-01 00:27:08.609237+00'),
	('2b71946c-4ddc-4e12-bfbd-945fb83dd9ad', '80b1a9b4-c4a5-4cdf-9a93-e510ec29b620', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'api_call', 'event_5s18fo', '{"page": "/home"}', '2026-11-30 18:22:59.794+00', 'desktop', 'Chrome', '2026-12-01 00:27:08.609237+00'),
	('369e431b-f5f0-459b-ae75-e66c0bbeb52a', 'a0afc121-a0e9-4f7e-b1b2-d111fe40e9ff', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'purchase', 'event_eccgd4', '{"page": "/home"}', '2026-11-30 23:23:46.799+00', 'desktop', 'Firefox', '2026-12-01 00:27:08.609237+00'),
	('3d5bd843-48db-4524-a56b-238b18145c6c', '80b1a9b4-c4a5-4cdf-9a93-e510ec29b620', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'click', 'event_48xvak', '{"page": "/home"}', '2026-12-01 00:09:44.946+00', 'desktop', 'Chrome', '2026-12-01 00:27:08.609237+00'),
	('484b918b-a3b7-4b34-b8a7-8a16bb0b094f', 'c6a43796-f465-40ac-a01b-015204fc0a76', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_ytsv9w', '{"page": "/home"}', '2026-11-30 19:04:14.739+00', 'mobile', 'Chrome', '2026-12-01 00:27:08.609237+00'),
	('4f741119-e868-4f8f-8b37-1c18f71fefb3', 'b60f7592-c3b3-46c6-a88e-9d74c451952c', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_4r4ouj', '{"page": "/home"}', '2026-11-30 22:19:03.511+00', 'desktop', 'Edge', '2026-12-01 00:27:08.609237+00'),
	('5253611a-d4c1-48e0-a05a-1b0f39584cda', '98d76013-d68f-4504-97e6-4706a7928174', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_2vj2tg', '{"page": "/home"}', '2026-11-30 22:34:08.17+00', 'mobile', 'Safari', '2026-12-01 00:27:08.609237+00'),
	('6cdae11c-c97e-4f69-93f2-cd14c0fd1d02', '9d7817e2-51f0-496d-b9f9-adc13ab48bc3', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'form_submit', 'event_o9znvw', '{"page": "/home"}', '2026-11-30 23:38:02.015+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.609237+00'),
	('74a9947b-4356-4ffe-97ff-e3868c482ab7', '8d2c95e2-e274-4b4c-9397-725aadf35428', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'form_submit', 'event_dj311z', '{"page": "/home"}', '2026-11-30 22:07:46+00', 'tablet', 'Safari', '2026-12-01 00:27:08.609237+00'),
	('966992c9-72d9-45fd-9315-0085b71b25f4', 'de01cea0-c7f8-4d07-bb4e-975c00feb623', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_ovwn27', '{"page": "/home"}', '2026-11-30 18:04:23.655+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.609237+00'),
	('ad5d31c0-504b-4d59-80c7-05e1a1d2c649', 'b60f7592-c3b3-46c6-a88e-9d74c451952c', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_xf7sxz', '{"page": "/home"}', '2026-11-30 16:23:13.404+00', 'desktop', 'Edge', '2026-12-01 00:27:08.609237+00'),
	('cbe476cc-e216-4630-a547-2c7850bb7012', '099059a1-797c-4242-b17b-16b4aeb2ae21', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'click', 'event_y609a9', '{"page": "/home"}', '2026-11-30 17:22:12.085+00', 'desktop', 'Safari', '2026-12-01 00:27:08.609237+00'),
	('d6d6ef56-7db4-4439-bf2f-dd0dd79cd4cc', 'a95c9549-aa49-420e-b7bc-cef7fecc6d16', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'scroll', 'event_68qazy', '{"page": "/home"}', '2026-11-30 23:34:00.881+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.609237+00'),
	('d7cb3a90-3df1-41ae-b883-0a003f2d63a9', '099059a1-797c-4242-b17b-16b4aeb2ae21', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'click', 'event_zxvosu', '{"page": "/home"}', '2026-11-30 15:34:06.32+00', 'desktop', 'Safari', '2026-12-01 00:27:08.609237+00'),
	('dcf1ce34-a889-4e5d-bb81-72a20daf9e51', '45fb989a-bb1f-43e6-aad5-ee94eb8e461a', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'error', 'event_l6h4it', '{"page": "/home"}', '2026-11-30 23:15:09.533+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.609237+00'),
	('e9ff1e04-4fc7-4860-8a1a-355c1506db9f', 'fbe2da89-4008-42d7-9af2-1da98cf9c1bb', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'click', 'event_2kh8wp', '{"page": "/home"}', '2026-11-30 20:05:30.79+00', 'desktop', 'Edge', '2026-12-01 00:27:08.609237+00'),
	('f9fd0201-ef16-4ad1-9246-4af797d3de73', 'e4b77bc4-bb4a-4f1f-bd3b-76e2482ee8e5', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'video_play', 'event_qlsyqz', '{"page": "/home"}', '2026-11-30 19:03:43.22+00', 'mobile', 'Chrome', '2026-12-01 00:27:08.609237+00'),
	('10edd48a-ad5f-4d63-b94e-a54a314ea0f3', '2304fb51-b6bf-46fd-ac5e-bf4d35b38513', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'scroll', 'event_uccpbb', '{"page": "/home"}', '2026-11-15 09:46:26.242+00', 'desktop', 'Safari', '2026-12-01 00:27:08.650793+00'),
	('1d07f032-ba59-4a74-9917-35b0f965d227', 'cf97a7c2-a08e-4ae0-b283-f614a51875fb', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_qp2hoy', '{"page": "/home"}', '2026-11-15 17:21:56.371+00', 'mobile', 'Chrome', '2026-12-01 00:27:08.650793+00'),
	('27d9fca7-5bcc-4f15-9e82-c2b349ce7a11', '82d37d25-4ca9-4fb0-bdf2-12bc7d7bc374', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_gehab4', '{"page": "/home"}', '2026-11-15 15:28:07.313+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.650793+00'),
	('3e6ae5dd-6acb-4cd7-8de2-d273c16e1bdc', '2304fb51-b6bf-46fd-ac5e-bf4d35b38513', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'form_submit', 'event_43dgtl', '{"page": "/home"}', '2026-11-15 08:27:48.08+00', 'desktop', 'Safari', '2026-12-01 00:27:08.650793+00'),
	('44472c92-a8ef-4cef-8157-4eb8de2890c8', '5de36820-9dc8-41a4-94a3-cd162c788c6d', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_1x1kof', '{"page": "/home"}', '2026-11-15 07:54:38.134+00', 'mobile', 'Firefox', '2026-12-01 00:27:08.650793+00'),
	('4bf9341e-b352-4796-8d08-998d86790b69', 'daf2d351-0d9a-4c15-a4d5-a61973d080c0', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'video_play', 'event_i3q9da', '{"page": "/home"}', '2026-11-15 08:58:51.881+00', 'desktop', 'Safari', '2026-12-01 00:27:08.650793+00'),
	('541b8f13-2006-4158-af88-14aef38c2c3b', '9d7817e2-51f0-496d-b9f9-adc13ab48bc3', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_ey5rxo', '{"page": "/home"}', '2026-11-15 16:14:45.741+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.650793+00'),
	('54e98b9b-f547-4e27-974e-7ebcf2565056', '5de36820-9dc8-41a4-94a3-cd162c788c6d', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'api_call', 'event_j0940a', '{"page": "/home"}', '2026-11-15 21:41:34.672+00', 'mobile', 'Firefox', '2026-12-01 00:27:08.650793+00'),
	('5f37a688-f68a-4c2b-8502-21fc095f2773', 'ed8cd236-f5c5-4bb1-af92-d8ec610715ee', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'api_call', 'event_hqw5pw', '{"page": "/home"}', '2026-11-15 15:54:50.58+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.650793+00'),
	('7bcc44aa-6a94-4ce4-ae95-b3c74cc469d7', '9d7817e2-51f0-496d-b9f9-adc13ab48bc3', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'form_submit', 'event_ku653t', '{"page": "/home"}', '2026-11-15 18:50:01.67+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.650793+00');
INSERT INTO public.ingested_events VALUES
	('986effc7-3833-4468-a4ed-b2ee69138db3', 'edf2e162-e45b-461f-adab-f1f522ad65af', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_dhp40h', '{"page": "/home"}', '2026-11-15 19:56:09.274+00', 'desktop', 'Firefox', '2026-12-01 00:27:08.650793+00'),
	('a8b0f878-017c-4459-aee8-15f2d809b2e2', '82d37d25-4ca9-4fb0-bdf2-12bc7d7bc374', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_run1gl', '{"page": "/home"}', '2026-11-15 09:44:50.261+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.650793+00'),
	('a8d1a7c1-0c31-435e-a445-12f6aadce9d0', 'de01cea0-c7f8-4d07-bb4e-975c00feb623', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'click', 'event_xjf3ap', '{"page": "/home"}', '2026-11-15 14:41:03.846+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.650793+00'),
	('aa83112e-dbf0-49aa-abf9-1e9018c0ff3f', '9605ba9a-95fc-4372-8ac0-07b32f643ffe', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_jq1ei8', '{"page": "/home"}', '2026-11-15 14:36:26.82+00', 'tablet', 'Edge', '2026-12-01 00:27:08.650793+00'),
	('ac00027a-23ed-4111-a164-19ddd7dcbc41', 'c6a43796-f465-40ac-a01b-015204fc0a76', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'video_play', 'event_too3lq', '{"page": "/home"}', '2026-11-15 11:14:19.327+00', 'mobile', 'Chrome', '2026-12-01 00:27:08.650793+00'),
	('b2a725db-ab8c-4c1b-aa7d-07b774ad4261', '9d7817e2-51f0-496d-b9f9-adc13ab48bc3', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'click', 'event_8knm28', '{"page": "/home"}', '2026-11-15 12:28:57.61+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.650793+00'),
	('e27b9882-ae40-49e1-97ce-f01bdbb027ed', 'bcf37d90-ef93-492d-b4f1-010857d19efb', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'api_call', 'event_bsmzrw', '{"page": "/home"}', '2026-11-15 10:52:51.082+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.650793+00'),
	('e8cbc8be-0754-4bb6-828f-077173cfc9bd', 'de01cea0-c7f8-4d07-bb4e-975c00feb623', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'error', 'event_bkiu5h', '{"page": "/home"}', '2026-11-15 21:08:19.255+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.650793+00'),
	('f8c132c8-2ba1-4880-bfb0-953da43c5923', 'b60f7592-c3b3-46c6-a88e-9d74c451952c', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'api_call', 'event_igk1qc', '{"page": "/home"}', '2026-11-15 12:02:56.851+00', 'desktop', 'Edge', '2026-12-01 00:27:08.650793+00'),
	('fb0c81ae-fb15-404d-9b0e-4783a7f4e327', 'bcf37d90-ef93-492d-b4f1-010857d19efb', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_bzweaa', '{"page": "/home"}', '2026-11-15 15:31:02.121+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.650793+00'),
	('03999f6e-7c80-4ba0-9a3a-586fcb418fd4', '34403f80-103d-4ff6-98f3-2422dd3b27b9', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'purchase', 'event_194z4w', '{"page": "/home"}', '2026-11-30 07:17:52.91+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.670408+00'),
	('10780a87-7b81-4fa8-a1fc-420e06feff3e', 'b60f7592-c3b3-46c6-a88e-9d74c451952c', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'api_call', 'event_mz53d7', '{"page": "/home"}', '2026-11-30 08:32:10.036+00', 'desktop', 'Edge', '2026-12-01 00:27:08.670408+00'),
	('1faae7ae-ddf1-4bf7-ab34-f5906a78442a', 'cf97a7c2-a08e-4ae0-b283-f614a51875fb', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_7jr4aa', '{"page": "/home"}', '2026-11-30 05:42:38.01+00', 'mobile', 'Chrome', '2026-12-01 00:27:08.670408+00'),
	('3245ea5f-9aed-4cf9-9ce2-11ac85f3e463', '9605ba9a-95fc-4372-8ac0-07b32f643ffe', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_g3giv7', '{"page": "/home"}', '2026-11-30 11:55:03.461+00', 'tablet', 'Edge', '2026-12-01 00:27:08.670408+00'),
	('424bd974-2c91-4d4b-99aa-6a55a83c720f', '84ef38f0-2269-44a6-9006-ae7a98862844', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_udy6zd', '{"page": "/home"}', '2026-11-30 09:44:22.1+00', 'mobile', 'Safari', '2026-12-01 00:27:08.670408+00'),
	('5c9e9d7b-e985-4e5e-841a-635c591ad8cb', 'bcf37d90-ef93-492d-b4f1-010857d19efb', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_5fpwsj', '{"page": "/home"}', '2026-11-30 11:11:48.223+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.670408+00'),
	('659f22fa-7e5a-4aae-9670-4b445b173813', 'e4b77bc4-bb4a-4f1f-bd3b-76e2482ee8e5', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_n1exxs', '{"page": "/home"}', '2026-11-30 13:36:49.873+00', 'mobile', 'Chrome', '2026-12-01 00:27:08.670408+00'),
	('6e0ee60b-ea38-4060-b193-a6e2e246a49d', '099059a1-797c-4242-b17b-16b4aeb2ae21', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'click', 'event_kiijdt', '{"page": "/home"}', '2026-11-30 06:30:25.341+00', 'desktop', 'Safari', '2026-12-01 00:27:08.670408+00'),
	('93a9152f-5999-4f49-b054-7509382e7818', '44026dfb-e3cd-461c-b62f-1eab4a7e0c7b', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_g199j1', '{"page": "/home"}', '2026-11-30 08:34:44.053+00', 'tablet', 'Edge', '2026-12-01 00:27:08.670408+00'),
	('9b729451-17e8-4fae-ab31-8a7f457862db', 'dbae5b9f-235b-4ba9-85af-5a8464c22926', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_6wr1y6', '{"page": "/home"}', '2026-11-30 12:54:57.436+00', 'tablet', 'Edge', '2026-12-01 00:27:08.670408+00'),
	('ade6f4c7-b6fb-4ed6-afcb-b3a49fa9ab90', '82d37d25-4ca9-4fb0-bdf2-12bc7d7bc374', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'video_play', 'event_rxtr6w', '{"page": "/home"}', '2026-11-30 13:19:57.593+00', 'tablet', 'Chrome', '2026-12-01 00:27:08.670408+00'),
	('b2e24e76-bc18-4020-a4b1-57bf0e5c6e1e', '7054c792-1528-4d49-acfb-b654c0800925', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'click', 'event_7zrxb8', '{"page": "/home"}', '2026-11-30 11:39:31.376+00', 'mobile', 'Firefox', '2026-12-01 00:27:08.670408+00'),
	('b3fa965a-ca81-4b52-8010-08a18d7cab51', '8d2c95e2-e274-4b4c-9397-725aadf35428', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_fr18my', '{"page": "/home"}', '2026-11-30 09:33:09.982+00', 'tablet', 'Safari', '2026-12-01 00:27:08.670408+00'),
	('cc60db24-5a5f-49ae-a3a5-62f691804f95', '099059a1-797c-4242-b17b-16b4aeb2ae21', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_pfm1v5', '{"page": "/home"}', '2026-11-30 08:00:12.172+00', 'desktop', 'Safari', '2026-12-01 00:27:08.670408+00'),
	('cf4578e1-43e8-4f35-ae2f-7e44a8243b6e', '45fb989a-bb1f-43e6-aad5-ee94eb8e461a', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_khwge0', '{"page": "/home"}', '2026-11-30 13:05:08.832+00', 'tablet', 'Firefox', '2026-12-01 00:27:08.670408+00'),
	('dd44c2f6-f260-4eea-8d4e-d12303b54633', 'e83dd63a-4161-411c-a0d0-1ab51deaa62a', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'purchase', 'event_dogxvy', '{"page": "/home"}', '2026-11-30 11:26:38.557+00', 'tablet', 'Edge', '2026-12-01 00:27:08.670408+00'),
	('f86cf4ed-dc1e-41d3-a46d-12c6d0e333e0', 'e4b77bc4-bb4a-4f1f-bd3b-76e2482ee8e5', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'click', 'event_b00iup', '{"page": "/home"}', '2026-11-30 10:08:47.784+00', 'mobile', 'Chrome', '2026-12-01 00:27:08.670408+00'),
	('fa4c31bb-92ac-40d6-a3c6-6ffce7771754', '5de36820-9dc8-41a4-94a3-cd162c788c6d', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'video_play', 'event_8bn1a5', '{"page": "/home"}', '2026-11-30 09:25:31.677+00', 'mobile', 'Firefox', '2026-12-01 00:27:08.670408+00'),
	('fbe4bde7-0c89-4c0f-9dd5-eb539c8cf927', '8524710b-f49d-4c1c-b195-70722d793526', '799cfcf5-81b5-45c0-a503-a50ac1a31a3a', 'page_view', 'event_c2lr7r', '{"page": "/home"}', '2026-11-30 11:36:52.438+00', 'tablet', 'Safari', '2026-12-01 00:27:08.670408+00'),
	('fdb31224-2bbc-47f3-8905-276af83e1335', 'dbae5b9f-235b-4ba9-85af-5a8464c22926', 'd27ec33c-78b6-4671-81a6-90e684d41daf', 'page_view', 'event_yfqqlj', '{"page": "/home"}', '2026-11-30 09:39:42.92+00', 'tablet', 'Edge', '2026-12-01 00:27:08.670408+00');
INSERT INTO public.ingestion_jobs OVERRIDING SYSTEM VALUE VALUES
	(1, 'default', 'https://upgrade.example', '-infinity', 'infinity', 3, '{"page_size": 20, "until_list": false, "made_cursors": true, "until_stream": true, "stream_access": true}', 734, 0, 1, NULL, NULL, NULL, '2026-12-01 00:27:08.498998+00', '2026-12-01 00:27:08.498998+00', '2026-11-08 01:10:51.509+00');
INSERT INTO public.ingestion_rounds VALUES
	(1, 1, '-infinity', 'infinity', 3, NULL, '00:00:00', '2026-12-01 00:09:44.946+00', '2026-12-01 00:09:44.946+00', 734, 0, '2026-12-01 00:27:08.503107+00', NULL, 0);
INSERT INTO public.ingestion_shards OVERRIDING SYSTEM VALUE VALUES
	(2, 1, 1, 2, NULL, '2026-11-16 10:32:04.691+00', '2026-11-24 08:16:46.725+00', 0, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, NULL, 'running', 1, NULL, '5d4529f1-a04c-440f-a235-f2d2d90853f4', '2026-12-01 00:27:08.610806+00', '2026-12-01 00:27:08.610806+00', 0, 0, 0, 0, '00:00:00'),
	(1, 1, 1, 1, NULL, '-infinity', '2026-11-16 10:32:04.691+00', 2, 'eyJpZCI6IjQ0NDcyYzkyLWE4ZWYtNGNlZi04MTU3LTRlYjhkZTI4OTBjOCIsInRzIjoxNzk0NzI5Mjc4MTM0LCJ2IjoyLCJleHAiOjE3OTYwODQ5NDg1ODd9', '2026-12-01 00:29:07.585801+00', '2026-11-15 07:54:38.134+00', '44472c92-a8ef-4cef-8157-4eb8de2890c8', 40, 40, 0, 0, 0, 0, 0, NULL, 'running', 1, NULL, '5d4529f1-a04c-440f-a235-f2d2d90853f4', '2026-12-01 00:27:08.521439+00', '2026-12-01 00:27:08.650793+00', 0, 0, 0, 0, '00:00:00'),
	(3, 1, 1, 3, NULL, '2026-11-24 08:16:46.725+00', 'infinity', 2, 'eyJpZCI6IjFmYWFlN2FlLWRkZjEtNGJmNy1hYjM0LWY1OTA2YTc4NDQyYSIsInRzIjoxNzk2MDE3MzU4MDEwLCJ2IjoyLCJleHAiOjE3OTYwODQ5NDg2MDZ9', '2026-12-01 00:29:07.604336+00', '2026-11-30 05:42:38.01+00', '1faae7ae-ddf1-4bf7-ab34-f5906a78442a', 40, 40, 0, 0, 0, 0, 0, NULL, 'running', 1, NULL, '5d4529f1-a04c-440f-a235-f2d2d90853f4', '2026-12-01 00:27:08.591454+00', '2026-12-01 00:27:08.670408+00', 0, 0, 0, 0, '00:00:00');
INSERT INTO public.sluice_migrations VALUES
	(1, 0, true, '2026-12-01 00:27:07.973296'),
	(2, 1, true, '2026-12-01 00:27:08.036978'),
	(3, 2, true, '2026-12-01 00:27:08.105598'),
	(4, 3, true, '2026-12-01 00:27:08.118323'),
	(5, 4, true, '2026-12-01 00:27:08.122141'),
	(6, 5, true, '2026-12-01 00:27:08.123269');
SELECT pg_catalog.setval('public.dead_letters_id_seq', 1, false);
SELECT pg_catalog.setval('public.ingestion_jobs_id_seq', 1, true);
SELECT pg_catalog.setval('public.ingestion_shards_id_seq', 3, true);
SELECT pg_catalog.setval('public.sluice_migrations_id_seq', 6, true);
ALTER TABLE ONLY public.api_quotas
    ADD CONSTRAINT api_quotas_pkey PRIMARY KEY (source, endpoint);
ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_job_id_sha256_key UNIQUE (job_id, sha256);
ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ingested_events
    ADD CONSTRAINT ingested_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ingestion_jobs
    ADD CONSTRAINT ingestion_jobs_name_key UNIQUE (name);
ALTER TABLE ONLY public.ingestion_jobs
    ADD CONSTRAINT ingestion_jobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ingestion_rounds
    ADD CONSTRAINT ingestion_rounds_pkey PRIMARY KEY (job_id, round);
ALTER TABLE ONLY public.ingestion_shards
    ADD CONSTRAINT ingestion_shards_job_id_round_shard_key UNIQUE (job_id, round, shard);
ALTER TABLE ONLY public.ingestion_shards
    ADD CONSTRAINT ingestion_shards_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sluice_migrations
    ADD CONSTRAINT sluice_migrations_pkey PRIMARY KEY (id);
CREATE INDEX dead_letters_shard_id_idx ON public.dead_letters USING btree (shard_id);
ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_shard_id_fkey FOREIGN KEY (shard_id) REFERENCES public.ingestion_shards(id);
ALTER TABLE ONLY public.ingestion_rounds
    ADD CONSTRAINT ingestion_rounds_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.ingestion_jobs(id);
ALTER TABLE ONLY public.ingestion_shards
    ADD CONSTRAINT ingestion_shards_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.ingestion_jobs(id);
ALTER TABLE ONLY public.ingestion_shards
    ADD CONSTRAINT ingestion_shards_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES public.ingestion_shards(id);
