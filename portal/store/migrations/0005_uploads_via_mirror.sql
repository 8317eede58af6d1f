-- Uploads whose body goes to the private bucket of the mirror, from where a job brings it to `temp/`. A portal of the
-- release before has no URL for them and answers that they are incomplete.
ALTER TABLE uploads ADD COLUMN via TEXT NOT NULL DEFAULT 'portal'; -- or 'mirror'
ALTER TABLE uploads ADD COLUMN wanted_at INTEGER; -- since when the owner has waited for the body, or when it last failed
ALTER TABLE uploads ADD COLUMN fault TEXT;        -- code of the last failure to bring it
ALTER TABLE uploads ADD COLUMN fault_detail TEXT; -- the sentence that goes with it
INSERT INTO migrations VALUES (5, 3);
