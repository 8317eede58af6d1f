"""Example: a Synology NAS that may be off: devices get apps from Cloudflare R2. A Cloudflare Tunnel leads to it."""

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
            "mosis_cloudflared": "cloudflare/cloudflared:2025.8.1",
            "mosis_settings": {
                "public_url": "https://store.example.org",
                "mirror": {
                    "endpoint": "https://ACCOUNT.r2.cloudflarestorage.com",
                    "bucket": "mosis",
                    "public_url": "https://cdn.example.org",
                },
                "download": "redirect",
            },
            "mosis_secrets": {
                "mirror-credentials": "file:~/.mosis/r2",  # two lines: access key, secret key
                "cloudflare-token": "file:~/.mosis/cloudflare-token",
            },
        },
    )
]
