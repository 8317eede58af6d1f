-- Links that show a version before it is published; see store/previews.py. A program of an older schema serves none, and
-- takes them along when it deletes a version.
CREATE TABLE previews (
    preview_id   TEXT PRIMARY KEY,
    version_id   TEXT NOT NULL REFERENCES versions ON DELETE CASCADE,
    secret_hash  BLOB NOT NULL, -- SHA-256 of 256 random bits, which needs no salt and no stretching
    developer_id TEXT NOT NULL REFERENCES developers, -- who created it
    token_id     TEXT,          -- that it was created with
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX previews_of_version ON previews (version_id);
CREATE INDEX previews_by_time ON previews (expires_at);
INSERT INTO migrations VALUES (8, 3);
