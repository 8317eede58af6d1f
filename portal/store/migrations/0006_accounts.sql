-- What people need over a year. A program of an older schema does not know the hash of a token that is bound to an app
-- (`store/tokens.py`), so it refuses such a token instead of granting it more.
ALTER TABLE tokens ADD COLUMN app_id TEXT;         -- the one app that it is bound to
ALTER TABLE tokens ADD COLUMN created_by TEXT;     -- the token that it was created with
ALTER TABLE developers ADD COLUMN disabled_at INTEGER;
ALTER TABLE apps ADD COLUMN homepage TEXT;         -- as name and description
UPDATE apps SET homepage = (
    SELECT json_extract(manifest, '$.homepage') FROM versions
    WHERE versions.app_id = apps.app_id AND version_code = published_code AND status = 'published'
) WHERE published_code IS NOT NULL;

CREATE TABLE tombstones ( -- what was deleted for good, and is never used again
    app_id       TEXT NOT NULL,
    version_code INTEGER NOT NULL, -- 0: the app itself
    developer_id TEXT NOT NULL REFERENCES developers,
    deleted_at   INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    PRIMARY KEY (app_id, version_code)
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstones_of_developer ON tombstones (developer_id);

CREATE TABLE downloads ( -- of published versions, by strangers
    app_id       TEXT NOT NULL,
    version_code INTEGER NOT NULL,
    day          INTEGER NOT NULL, -- since 1970, UTC; 0: all days that are not kept one by one
    number       INTEGER NOT NULL,
    PRIMARY KEY (app_id, version_code, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX downloads_by_day ON downloads (day);

CREATE TABLE webhooks ( -- where a developer hears of the end of a review
    developer_id TEXT PRIMARY KEY REFERENCES developers,
    url          TEXT NOT NULL,
    secret       TEXT NOT NULL, -- of the signature
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries ( -- to webhooks, until they succeed or are given up
    number       INTEGER PRIMARY KEY,
    developer_id TEXT NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    created_at   INTEGER NOT NULL,
    next_at      INTEGER NOT NULL,
    tries        INTEGER NOT NULL DEFAULT 0,
    body         TEXT NOT NULL,
    fault        TEXT           -- of the last try
) STRICT;
CREATE INDEX deliveries_by_time ON deliveries (next_at);
-- A store whose reviewers have published versions of their own apps continues to let them; see store/reviews.py.
INSERT INTO counters SELECT 'own_reviews', 'before', 1 WHERE EXISTS (
    SELECT 1 FROM audit JOIN apps ON apps.app_id = substr(subject, 1, instr(subject, '/') - 1)
    WHERE action = 'version.publish' AND actor = apps.developer_id
);
INSERT INTO migrations VALUES (6, 3);
