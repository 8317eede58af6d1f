"""Limits beyond which somebody should act: written once, for status, metrics, alerts and rehearsals."""

STORAGE_NEARLY_FULL = 0.8
"""Part of `storage_budget_bytes` in use."""

DISK_FREE_BYTES_MIN = 1024**3
"""Bytes free on the disk of the store."""

REPLICA_LAG_SECONDS_MAX = 60
"""For how long the newest write may be missing from the Litestream replica, seconds."""
