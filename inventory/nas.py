"""Example: a Synology NAS (DSM 7.2+ with Container Manager). Copy it, change the names, run bootstrap.py once."""

store = [
    (
        "nas.example.org",
        {
            "ssh_user": "admin",
            "ssh_file_transfer_protocol": "scp",  # DSM has no SFTP, or one that sees shares only
            "_temp_dir": "/var/services/homes/admin/.mosis",  # nothing runs from DSM's /tmp; bootstrap.py makes this
            "_sudo": True,
            "mosis_runtime": "compose",
            "mosis_share": "mosis",
            "mosis_root": "/volume1/mosis",
            "mosis_port": 8080,
            "mosis_settings": {
                "public_url": "https://store.example.org",
                "backup": {"mount": "/volumeUSB1/usbshare", "directory": "/volumeUSB1/usbshare/mosis"},
            },
            "mosis_schedules": {"share-snapshot": "30 4 * * *"},
        },
    )
]
