CREATE TABLE developers (
    developer_id TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    token_id     TEXT PRIMARY KEY,
    developer_id TEXT NOT NULL REFERENCES developers,
    scope        TEXT NOT NULL CHECK (scope IN ('developer', 'reviewer', 'admin')),
    secret_hash  BLOB NOT NULL, -- SHA-256 of 256 random bits, which needs no salt and no stretching
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    revoked_at   INTEGER,
    last_used_at INTEGER
) STRICT;
CREATE INDEX tokens_of_developer ON tokens (developer_id);

CREATE TABLE keys (
    key_id       TEXT PRIMARY KEY,
    developer_id TEXT NOT NULL REFERENCES developers,
    public_key   BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    revoked_at   INTEGER
) STRICT;
CREATE INDEX keys_of_developer ON keys (developer_id);

CREATE TABLE apps (
    number         INTEGER PRIMARY KEY,
    app_id         TEXT NOT NULL UNIQUE,
    developer_id   TEXT NOT NULL REFERENCES developers,
    name           TEXT NOT NULL,
    description    TEXT NOT NULL,
    published_code INTEGER, -- the current version, or NULL
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX apps_of_developer ON apps (developer_id);
CREATE INDEX apps_published ON apps (app_id) WHERE published_code IS NOT NULL;

CREATE TABLE app_keys ( -- which key signs an app's versions; see store/app_keys.py
    number            INTEGER PRIMARY KEY,
    app_id            TEXT NOT NULL REFERENCES apps (app_id),
    kind              TEXT NOT NULL CHECK (kind IN ('pin', 'rotation', 'recovery')),
    key_id            TEXT NOT NULL REFERENCES keys,
    from_version_code INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    effective_at      INTEGER NOT NULL,
    cancelled_at      INTEGER,
    reason            TEXT NOT NULL,
    old_signature     TEXT,
    new_signature     TEXT,
    CHECK ((kind = 'rotation') = (old_signature IS NOT NULL AND new_signature IS NOT NULL))
) STRICT;
CREATE INDEX app_keys_of_app ON app_keys (app_id, number);

CREATE VIRTUAL TABLE apps_search USING fts5 (app_id, name, description, content = apps, content_rowid = number);
CREATE TRIGGER apps_search_insert AFTER INSERT ON apps BEGIN
    INSERT INTO apps_search (rowid, app_id, name, description) VALUES (new.number, new.app_id, new.name, new.description);
END;
CREATE TRIGGER apps_search_update AFTER UPDATE OF name, description ON apps BEGIN
    INSERT INTO apps_search (apps_search, rowid, app_id, name, description)
        VALUES ('delete', old.number, old.app_id, old.name, old.description);
    INSERT INTO apps_search (rowid, app_id, name, description) VALUES (new.number, new.app_id, new.name, new.description);
END;

CREATE TABLE versions (
    version_id    TEXT PRIMARY KEY, -- the upload's id
    app_id        TEXT NOT NULL REFERENCES apps (app_id),
    developer_id  TEXT NOT NULL REFERENCES developers,
    status        TEXT NOT NULL
        CHECK (status IN ('uploading', 'draft', 'in_review', 'published', 'rejected', 'failed', 'yanked')),
    status_at     INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    published_at  INTEGER,
    superseded_at INTEGER, -- since when a published version is not the current one
    reasons       TEXT NOT NULL DEFAULT '[]',
    version_code  INTEGER,
    version_name  TEXT,
    size          INTEGER,
    sha256        TEXT,
    key_id        TEXT,
    signature     TEXT,
    manifest      TEXT,
    CHECK (status IN ('uploading', 'failed') OR (version_code IS NOT NULL AND version_name IS NOT NULL
        AND size IS NOT NULL AND sha256 IS NOT NULL AND key_id IS NOT NULL AND signature IS NOT NULL
        AND manifest IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX versions_placed ON versions (app_id, version_code) WHERE status NOT IN ('uploading', 'failed');
CREATE INDEX versions_of_app ON versions (app_id, created_at);
CREATE INDEX versions_by_status ON versions (status, status_at);

CREATE TABLE assets (
    app_id     TEXT NOT NULL REFERENCES apps (app_id),
    name       TEXT NOT NULL, -- path below assets/{app_id}/
    size       INTEGER NOT NULL,
    sha256     TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT, -- so that SQLite remembers the last one
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    token_id TEXT,
    address  TEXT NOT NULL,
    action   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    detail   TEXT NOT NULL,
    hash     TEXT NOT NULL -- of this row and the hash before it; see store/audit.py
) STRICT;
CREATE TRIGGER audit_is_append_only_update BEFORE UPDATE ON audit BEGIN SELECT RAISE (ABORT, 'append only'); END;
CREATE TRIGGER audit_is_append_only_delete BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'append only'); END;

CREATE TABLE job_runs (
    job        TEXT PRIMARY KEY,
    success_at INTEGER,
    failure_at INTEGER,
    failure    TEXT
) STRICT;

CREATE TABLE counters ( -- of jobs, which end before Prometheus could scrape them
    metric TEXT NOT NULL,
    label  TEXT NOT NULL,
    value  INTEGER NOT NULL,
    PRIMARY KEY (metric, label)
) STRICT, WITHOUT ROWID;
