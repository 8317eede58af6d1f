CREATE TABLE migrations ( -- for programs older than the schema, see store/schema.py
    number          INTEGER PRIMARY KEY,
    compatible_from INTEGER NOT NULL, -- the oldest schema whose programs may use the database since
    CHECK (compatible_from <= number)
) STRICT;
INSERT INTO migrations VALUES (3, 3);
