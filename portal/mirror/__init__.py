"""The mirror: an S3 bucket that serves the store's files to devices."""
