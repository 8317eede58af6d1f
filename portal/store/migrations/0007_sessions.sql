-- Browsers of people who signed in with a token; see store/sessions.py. A program of an older schema has no pages that
-- take them.
CREATE TABLE sessions (
    secret_hash BLOB PRIMARY KEY, -- SHA-256 of 256 random bits, which needs no salt and no stretching
    token_id    TEXT NOT NULL REFERENCES tokens ON DELETE CASCADE,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_time ON sessions (expires_at);
CREATE INDEX sessions_of_token ON sessions (token_id);
INSERT INTO migrations VALUES (7, 3);
