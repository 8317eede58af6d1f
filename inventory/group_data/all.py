"""What an inventory may say about its hosts. Each line shows the default, as in deploys/plan/data.py.

Uncomment here to change it for every host, or say it in an inventory for one host or group.
"""

# How the processes are kept up: "local", "systemd" or "compose". No default: every inventory says it.
# mosis_runtime

# Directory of everything that is stored: data, packages, assets, temp, backups, secrets. Absolute.
# mosis_root = "/srv/mosis"

# TCP port that people and devices connect to, and the host names nginx answers to ("_": any).
# mosis_port = 80
# mosis_server_names = ("_",)

# Runtime systemd: https. {"acme": "you@example.org"} has certbot obtain a certificate for mosis_server_names from Let's
# Encrypt, whose terms you accept with it, and renew it; {"certificate": "/etc/ssl/store.pem", "key":
# "/etc/ssl/private/store.key"} names files of the host. mosis_port then leads to https (docs/install-debian.md).
# mosis_tls = None

# Networks of the reverse proxies in front of nginx, such as one for TLS on the host itself; their X-Forwarded-For names
# the client. The runtime compose adds mosis_subnet.
# mosis_trusted_proxies = ("127.0.0.0/8", "::1/128")
# What a client may have under way at once. A client is an IPv4 address, with all devices behind it, or an IPv6 /64.
# 256 downloads fill a gigabit line at 4 Mbit/s each. 16 uploads leave places for others: there are 192, three quarters
# of the setting `threads`. A client over its limit gets 503 with Retry-After.
# mosis_requests_per_client = 256
# mosis_senders_per_client = 16
# And how many requests it may send a second, ten times as many after a pause. One beyond gets 429, and is not logged.
# mosis_requests_per_second = 100

# Runtime local: the program of an installed nginx, which then answers and sends the files; None: the portal alone does.
# mosis_nginx = None

# Ports on the loopback interface: Litestream's metrics, those of the portal (runtime systemd), an installed Prometheus.
# mosis_litestream_port = 9099
# mosis_metrics_port = 9098
# mosis_prometheus_port = 9090

# "files" lays down scrape and rule files below /etc/mosis/prometheus; "install" also installs Debian's Prometheus.
# mosis_prometheus = "files"

# Runtime compose. On a Synology NAS, the shared folder that is the root (/volumeN/NAME); elsewhere None.
# mosis_share = None
# The Debian that the store's image is built on, and cloudflared's image for a tunnel, whose token is the secret
# "cloudflare-token" (its origin, set at Cloudflare: http://nginx:8080). A network of addresses for the containers.
# mosis_base_image = "debian:bookworm-slim"
# mosis_cloudflared = None
# mosis_subnet = "172.30.77.0/28"
# UUID of the external drive's file system, to refuse any other drive at its mount point; a Hyper Backup task to start.
# mosis_drive_uuid = None
# mosis_hyper_backup = None

# Runtime systemd: the name, in this inventory, of the store that this host follows as its standby; None: it is a store
# of its own. It reaches that store by SSH at the address and port that the inventory has for it.
# mosis_follows = None

# Settings of the portal that differ from their defaults (docs/settings.md lists them), for example
#     {"public_url": "https://store.example.org", "storage_budget_bytes": 500_000_000_000,
#      "backup": {"mount": "/mnt/usb", "directory": "/mnt/usb/mosis"},
#      "mirror": {"endpoint": "https://ACCOUNT.r2.cloudflarestorage.com", "bucket": "mosis"}}
# mosis_settings = {}

# Times of jobs that differ from the defaults (docs/operations.md lists them), as in crontab(5), for example
# {"cleanup": "*/10 * * * *"}; None switches a job off.
# mosis_schedules = {}

# Files below <root>/secrets, mode 600, and where the operator's machine has their content: "env:VARIABLE" or
# "file:PATH". A secret itself never stands in an inventory. With a mirror: {"mirror-credentials": "file:~/.mosis/r2"}
# mosis_secrets = {}

# Directory of wheels on the operator's machine, for a host that reaches no package index:
#     pip download --dest DIR --no-deps --only-binary :all: --require-hashes --requirement requirements/portal.lock
# mosis_wheelhouse = None
