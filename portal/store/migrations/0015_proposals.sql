-- What an owner changed in the images of an app that was published, until a reviewer decides; see store/proposals.py.
-- A program of an older schema shows the images as they are, and changes them at once.
CREATE TABLE proposals (
    app_id      TEXT PRIMARY KEY REFERENCES apps (app_id) ON DELETE CASCADE,
    changed_at  INTEGER NOT NULL,
    rejected_at INTEGER,       -- NULL: it waits for a reviewer
    reason      TEXT NOT NULL DEFAULT '' -- of the rejection
) STRICT, WITHOUT ROWID;
CREATE INDEX proposals_waiting ON proposals (changed_at, app_id) WHERE rejected_at IS NULL;
CREATE TABLE proposed_assets (
    app_id     TEXT NOT NULL REFERENCES proposals (app_id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    size       INTEGER NOT NULL,
    sha256     TEXT NOT NULL, -- empty: the image is to be deleted
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;
INSERT INTO migrations VALUES (15, 3);
