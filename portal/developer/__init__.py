"""A developer's machine: credentials, the client of a store's API, the manifest, and a push. It needs no server."""
