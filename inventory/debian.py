"""Example: a Debian 12 host over SSH, with an external drive and Debian's Prometheus. Copy it, change the names."""

store = [
    (
        "store.example.org",
        {
            "ssh_user": "operator",
            "_sudo": True,
            "mosis_runtime": "systemd",
            "mosis_server_names": ("store.example.org",),
            # Once the name leads to the host, and you accept the terms of Let's Encrypt:
            # "mosis_tls": {"acme": "operator@example.org"},
            "mosis_prometheus": "install",
            "mosis_settings": {
                "public_url": "https://store.example.org",
                "backup": {"mount": "/mnt/usb", "directory": "/mnt/usb/mosis"},
            },
        },
    )
]
