-- The log of many years is asked about one subject, actor or time without reading all of it; see store/audit.py.
CREATE INDEX audit_by_subject ON audit (subject);
CREATE INDEX audit_by_actor ON audit (actor);
CREATE INDEX audit_by_time ON audit (at);
INSERT INTO migrations VALUES (10, 3);
