"""Limits beyond which somebody should act: written once, for status, metrics, alerts and rehearsals."""

STORAGE_NEARLY_FULL = 0.8
"""Part of `storage_budget_bytes` in use."""

DISK_FREE_BYTES_MIN = 1024**3
"""Bytes free on the disk of the store."""

REPLICA_LAG_SECONDS_MAX = 60
"""For how long the newest write may be missing from the Litestream replica, seconds."""

REPLICA_PROOF_SECONDS = 300
"""Time between two proofs of the replica, seconds; longer where a proof takes more than 2 % of that time."""

REPLICA_PROOFS_MISSED_MAX = 3
"""How many proofs in a row may be missing."""

WAL_BYTES_MAX = 256 * 1024**2
"""Size of the WAL beyond which Litestream is started anew over an empty one, bytes."""
DAY = 86400
CERTIFICATE_SECONDS_LEFT_MIN = 14 * DAY
"""How long the certificate of https should still be valid; certbot renews 30 days before the end, twice a day."""

CATALOGUE_SECONDS_LEFT_MIN = {
    "timestamp": 20 * DAY,
    "snapshot": 20 * DAY,
    "bins": 20 * DAY,
    "targets": 183 * DAY,
    "root": 183 * DAY,
}
"""How long the signatures of each role of the catalogue should still be valid; the root key signs targets and root."""
