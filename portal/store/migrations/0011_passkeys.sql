-- Passkeys; see store/passkeys.py. A passkey is a token whose secret an authenticator has: to a program of an older
-- schema it is a token that nobody can send, and its sessions are those of that token.
ALTER TABLE tokens ADD COLUMN passkey TEXT; -- its name; NULL: a token with a secret in clear text
CREATE TABLE passkeys (
    credential_id BLOB PRIMARY KEY,
    token_id      TEXT NOT NULL UNIQUE REFERENCES tokens ON DELETE CASCADE,
    public_key    BLOB NOT NULL,    -- COSE_Key
    sign_count    INTEGER NOT NULL, -- of the last signature; 0: the authenticator does not count
    challenge_at  INTEGER NOT NULL  -- microseconds since 1970: when the last challenge that was signed was made
) STRICT, WITHOUT ROWID;
INSERT INTO migrations VALUES (11, 3);
