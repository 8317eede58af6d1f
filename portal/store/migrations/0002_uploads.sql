CREATE TABLE uploads ( -- bodies that come by signed URL; a row lives as long as its version is `uploading`
    upload_id    TEXT PRIMARY KEY REFERENCES versions ON DELETE CASCADE,
    developer_id TEXT NOT NULL REFERENCES developers,
    size         INTEGER NOT NULL,
    sha256       TEXT,                       -- as announced, or NULL
    expires_at   INTEGER NOT NULL,           -- the URL's
    received     INTEGER NOT NULL DEFAULT 0, -- bytes that are on the disk for sure
    digest       TEXT,                       -- SHA-256 of the body, when it came whole in one request
    CHECK (received BETWEEN 0 AND size)
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_of_developer ON uploads (developer_id);

CREATE TABLE idempotency ( -- answers to creating requests, by the client's Idempotency-Key
    token_id    TEXT NOT NULL REFERENCES tokens,
    target      TEXT NOT NULL, -- path of the request
    key         TEXT NOT NULL,
    at          INTEGER NOT NULL,
    fingerprint BLOB,          -- of the request; NULL while it is being answered
    status      INTEGER,
    headers     TEXT,          -- JSON object
    body        TEXT,
    PRIMARY KEY (token_id, target, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_time ON idempotency (at);
