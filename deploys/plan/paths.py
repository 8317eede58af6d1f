"""Where things lie on a host, for every runtime that has them."""

UNITS = "/etc/systemd/system"
PROMETHEUS_DROPINS = f"{UNITS}/prometheus.service.d"
RUN = "/run/mosis"
COMMAND = "/usr/local/bin/mosis"
HOME = "/opt/mosis"
CURRENT, PREVIOUS = f"{HOME}/current", f"{HOME}/previous"
EXCHANGE = f"{HOME}/exchange"
GOOD = f"{HOME}/good"  # the files of the portal that runs, for a return
CHECKS = (f"{HOME}/check.py", "/etc/mosis/declared.json")
CERTIFICATE_CHECK = f"{HOME}/check_certificate.py"
STANDBY_SSH_CONFIG = "/etc/mosis/standby/ssh_config"
TLS = "/etc/mosis/tls"
ACME_CERTIFICATE = f"{TLS}/certificate.pem"  # with its key: two files could not be exchanged at once
ACME_RENEWED = f"{HOME}/certificate"  # what certbot runs after it has renewed the certificate
ACME_CHALLENGES = "/var/lib/mosis-acme"
DSM_HOME = "@mosis"  # no share can have this name, so that no boot renames the directory

# sudo and cron of DSM know neither docker nor Synology's own commands.
PATH = ":".join(
    (
        *("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/syno/sbin"),
        *("/usr/syno/bin", "/var/packages/ContainerManager/target/usr/bin", "/var/packages/Docker/target/usr/bin"),
    )
)
ENVIRONMENT = f"export PATH={PATH}; "
