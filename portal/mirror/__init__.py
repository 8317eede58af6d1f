"""The store carried to the world: an S3 engine beside the NAS."""
