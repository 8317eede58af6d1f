"""Example: two stores in one run, each with its own data: a NAS at the office, a Debian host in the data centre."""

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
]
