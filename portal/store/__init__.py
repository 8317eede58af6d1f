"""The store: database, files, states, retention, tokens, keys, the audit log. It knows no HTTP."""
