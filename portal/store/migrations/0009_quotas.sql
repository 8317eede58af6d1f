-- What a developer may use, where it differs from the settings; see store/quotas.py. A program of an older schema has no
-- quotas. While a version is `uploading`, its size is what it reserves.
CREATE TABLE quotas (
    developer_id TEXT NOT NULL REFERENCES developers,
    name         TEXT NOT NULL, -- as in store/quotas.py
    value        INTEGER NOT NULL,
    PRIMARY KEY (developer_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_used ON versions (app_id, status, size); -- has all that counting needs
INSERT INTO migrations VALUES (9, 3);
