-- What the search finds; see store/search.py. A program of an older schema continues to search `apps_search`; what it
-- changes is noted here, and indexed with the next change, or by the next cleanup.
CREATE VIRTUAL TABLE apps_words USING fts5 (app_id, name, description, author, prefix = '1 2 3');
CREATE TABLE apps_unindexed (number INTEGER PRIMARY KEY) STRICT; -- of apps
CREATE TRIGGER apps_words_insert AFTER INSERT ON apps WHEN new.published_code IS NOT NULL BEGIN
    INSERT INTO apps_unindexed (number) SELECT new.number WHERE new.number NOT IN (SELECT number FROM apps_unindexed);
END;
CREATE TRIGGER apps_words_update AFTER UPDATE OF name, description, published_code ON apps BEGIN
    INSERT INTO apps_unindexed (number) SELECT new.number WHERE new.number NOT IN (SELECT number FROM apps_unindexed);
END;
CREATE TRIGGER apps_words_delete AFTER DELETE ON apps BEGIN
    DELETE FROM apps_words WHERE rowid = old.number;
    DELETE FROM apps_unindexed WHERE number = old.number;
END;
-- A published app has what its manifest says; names that the operator has changed stay until the next publish.
UPDATE apps SET
    name = coalesce(json_extract(manifest, '$.name'), name),
    description = coalesce(json_extract(manifest, '$.description'), description),
    homepage = coalesce(json_extract(manifest, '$.homepage'), homepage)
FROM versions
WHERE versions.app_id = apps.app_id AND version_code = published_code AND versions.status = 'published'
    AND NOT EXISTS (SELECT 1 FROM audit WHERE subject = apps.app_id AND action = 'app.edit');
INSERT INTO apps_unindexed (number) SELECT number FROM apps
    WHERE published_code IS NOT NULL AND number NOT IN (SELECT number FROM apps_unindexed);
INSERT INTO migrations VALUES (14, 3);
