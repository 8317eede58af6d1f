"""The signed static catalogue: a document per app, and TUF metadata that proves which documents are current."""
