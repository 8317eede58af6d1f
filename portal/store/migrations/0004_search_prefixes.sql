-- Whoever types in a search field asks for one letter, then two: without lists of their own, each of these gathers every
-- word that begins so. 8.7 ms for "a" among 10,000 apps, 0.2 ms with them.
DROP TABLE apps_search;
CREATE VIRTUAL TABLE apps_search USING fts5
    (app_id, name, description, content = apps, content_rowid = number, prefix = '1 2 3');
INSERT INTO apps_search (apps_search) VALUES ('rebuild');
INSERT INTO migrations VALUES (4, 3);
