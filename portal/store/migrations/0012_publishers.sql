-- CI services that publish an app without a stored token; see store/publishers.py. A program of an older schema accepts
-- none, and its tokens of jobs are tokens of one app that end within minutes.
CREATE TABLE publishers (
    number        INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: the audit log names it
    app_id        TEXT NOT NULL REFERENCES apps (app_id) ON DELETE CASCADE,
    issuer        TEXT NOT NULL,
    repository_id TEXT NOT NULL,
    ref           TEXT NOT NULL, -- empty: any
    environment   TEXT NOT NULL, -- empty: any, or none
    created_at    INTEGER NOT NULL,
    created_by    TEXT NOT NULL, -- a developer's id, or operator
    UNIQUE (app_id, issuer, repository_id, ref, environment)
) STRICT;
CREATE TABLE used_id_tokens ( -- each is accepted once
    digest     BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_id_tokens_by_time ON used_id_tokens (expires_at);
ALTER TABLE tokens ADD COLUMN publisher INTEGER; -- whose job has it
CREATE INDEX tokens_of_publishers ON tokens (expires_at) WHERE publisher IS NOT NULL;
INSERT INTO migrations VALUES (12, 3);
