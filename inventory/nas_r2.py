"""Example: a Synology NAS whose catalogue goes to Cloudflare R2, reached by a Cloudflare Tunnel alone."""

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
                "mirror": {"endpoint": "https://ACCOUNT.r2.cloudflarestorage.com", "bucket": "mosis"},
            },
            "mosis_secrets": {
                "mirror-credentials": "file:~/.mosis/r2",  # two lines: access key, secret key
                "cloudflare-token": "file:~/.mosis/cloudflare-token",
            },
        },
    )
]
