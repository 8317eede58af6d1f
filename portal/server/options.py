"""How granian is run."""

from typing import Any

from portal.settings import Settings

# Connections a worker holds. An idle one of nginx holds a place too, and a worker that is full leaves what the kernel
# gave it (SO_REUSEPORT) waiting even while another has room: with a place per thread, 300 of 500 downloads hung 20 s.
CONNECTIONS = 4096
# Bytes a connection may take for a head, and for a body that comes faster than it is read; with 64 KiB an upload is
# handed from thread to thread twice as often.
BUFFER = 256 * 1024
LOGGING = {
    "formatters": {
        name: {"format": f"%(asctime)s {form}", "datefmt": "%Y-%m-%dT%H:%M:%S%z"}
        for name, form in {"generic": "[%(levelname)s] %(message)s", "access": "%(message)s"}.items()
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
}
"""Lines with their time and its zone, also of the portal's own modules, for supervisors that add none."""
DRAIN_SECONDS = 30  # that a worker has to finish its requests, before it is killed


def options(settings: Settings) -> dict[str, Any]:
    """Arguments of `granian.Granian`."""
    from granian.constants import HTTPModes, Interfaces  # here, because no other command needs it
    from granian.http import HTTP1Settings

    return {
        "interface": Interfaces.WSGI,
        "http": HTTPModes.http1,  # what nginx speaks; HTTP/2 in clear text is a second parser for strangers only
        "uds": settings.socket,
        "uds_permissions": 0o660,  # nginx is in the store's group
        "address": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "blocking_threads": settings.threads,
        "backpressure": CONNECTIONS,
        "backlog": CONNECTIONS,
        "websockets": False,
        "http1_settings": HTTP1Settings(max_buffer_size=BUFFER),
        "respawn_failed_workers": True,
        "respawn_interval": 1,
        "workers_kill_timeout": DRAIN_SECONDS,
        "log_dictconfig": LOGGING,
    }
