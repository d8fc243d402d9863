-- A store as version 1 made it, with two keys and one request in it.
PRAGMA application_id = 1111837767;
PRAGMA user_version = 1;
BEGIN;
CREATE TABLE text (
        id INTEGER PRIMARY KEY,
        kind INTEGER NOT NULL,
        text TEXT NOT NULL,
        UNIQUE (kind, text)
    );
CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        key INTEGER NOT NULL, task INTEGER NOT NULL, tags INTEGER NOT NULL, model INTEGER NOT NULL,
        target INTEGER NOT NULL, priced_as INTEGER NOT NULL, decision INTEGER NOT NULL, fallback INTEGER NOT NULL,
        failure INTEGER NOT NULL, status INTEGER NOT NULL, outcome INTEGER NOT NULL, processing INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        rate_card TEXT NOT NULL,
        over_tokens INTEGER NOT NULL,
        UNIQUE (key, task, tags, model, target, priced_as, decision, fallback, failure, status, outcome, processing, flags, rate_card, over_tokens)
    );
CREATE TABLE rate_card (
        id TEXT PRIMARY KEY,
        content TEXT NOT NULL
    );
CREATE TABLE price_list (
        target TEXT PRIMARY KEY,
        content TEXT NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE attempt (
        attempt_id INTEGER PRIMARY KEY,
        received_us INTEGER NOT NULL,
        queued_us INTEGER NOT NULL,
        first_byte_us INTEGER NOT NULL,
        ended_us INTEGER NOT NULL,
        series INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        cached_input_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        episode TEXT
    );
CREATE TABLE rollup_hour (
        hour INTEGER NOT NULL,
        series INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        cached_input_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        PRIMARY KEY (hour, series)
    ) WITHOUT ROWID;
CREATE TABLE spool_position (
        segment TEXT PRIMARY KEY,
        moved_bytes INTEGER NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE control (version INTEGER NOT NULL);
INSERT INTO control VALUES (0);
CREATE TABLE key (
        name TEXT PRIMARY KEY,
        sha256 TEXT NOT NULL UNIQUE,
        shown TEXT NOT NULL,
        models TEXT NOT NULL,
        tags TEXT NOT NULL,
        created_s REAL NOT NULL,
        expires_s REAL,
        revoked_s REAL
    ) WITHOUT ROWID;
CREATE VIEW attempt_said AS SELECT
        attempt_id, attempt_id & ~15 AS request_id, attempt_id & 15 AS number, received_us,
        nullif(queued_us, 4294967295) AS queued_us, nullif(first_byte_us, 4294967295) AS first_byte_us, ended_us,
        k.text AS key, t.text AS task, g.text AS tags, episode, m.text AS model, p.text AS target, r.text AS priced_as,
        d.text AS decision, b.text AS fallback, f.text AS failure, nullif(s.status, 0) AS status,
        CASE s.outcome WHEN 0 THEN 'ok' WHEN 1 THEN 'failed' WHEN 2 THEN 'cut' ELSE 'client_left' END AS outcome,
        CASE s.processing WHEN 0 THEN 'standard' WHEN 1 THEN 'batch' WHEN 2 THEN 'flex' ELSE 'priority' END
            AS processing,
        s.flags & 1 AS estimated, s.flags >> 1 & 1 AS streamed,
        input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
        nullif(s.rate_card, '') AS rate_card, s.over_tokens AS over_tokens
        FROM attempt CROSS JOIN series s ON s.id = attempt.series
        LEFT JOIN text k ON k.id = s.key LEFT JOIN text t ON t.id = s.task LEFT JOIN text g ON g.id = s.tags
        LEFT JOIN text m ON m.id = s.model LEFT JOIN text p ON p.id = s.target LEFT JOIN text r ON r.id = s.priced_as
        LEFT JOIN text d ON d.id = s.decision LEFT JOIN text b ON b.id = s.fallback
        LEFT JOIN text f ON f.id = s.failure;
UPDATE control SET version = 7;
INSERT INTO key VALUES ('old', 'ab', 'sk-be-a…b', '["fast"]', 'team=a', 5.0, 9.5, NULL);
INSERT INTO key VALUES ('gone', 'cd', 'sk-be-c…d', '[]', '', 6.0, NULL, 7.0);
INSERT INTO text VALUES (1, 1, 'old');
INSERT INTO series VALUES (1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 200, 0, 0, 0, '', 0);
INSERT INTO attempt VALUES (65536, 1793612100000000, 1, 2, 3, 1, 1000, 0, 0, 10, NULL);
INSERT INTO rollup_hour VALUES (498225, 1, 1, 1000, 0, 0, 10);
COMMIT;
