-- What is deleted when the token that it was created with is revoked; see store/tokens.py. What a program of an older
-- schema adds has none, and stays.
ALTER TABLE publishers ADD COLUMN token_id TEXT;
ALTER TABLE webhooks ADD COLUMN token_id TEXT;
INSERT INTO migrations VALUES (13, 3);
