"""Example: two stores in one run, a NAS at the office and a Debian host in the data centre, which a standby follows."""

store = [
    (
        "nas.example.org",
        {
            "ssh_user": "admin",
            "ssh_file_transfer_protocol": "scp",
            "_temp_dir": "/var/services/homes/admin/.mosis",
            "_sudo": True,
            "mosis_runtime": "compose",
            "mosis_share": "mosis",
            "mosis_root": "/volume1/mosis",
            "mosis_port": 8080,
            "mosis_settings": {"public_url": "https://office.example.org"},
        },
    ),
    (
        "store.example.org",
        {
            "ssh_user": "operator",
            "_sudo": True,
            "mosis_runtime": "systemd",
            "mosis_server_names": ("store.example.org",),
            "mosis_settings": {"public_url": "https://store.example.org"},
        },
    ),
    (
        "standby.example.org",
        {
            "ssh_user": "operator",
            "_sudo": True,
            "mosis_runtime": "systemd",
            "mosis_follows": "store.example.org",  # dropping this line promotes it
            "mosis_server_names": ("store.example.org",),
            "mosis_settings": {"public_url": "https://store.example.org"},
        },
    ),
]
