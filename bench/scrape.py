"""`python -m bench.scrape`: what a store answers to one GET /metrics."""

from portal import settings
from portal.app import create_app

if __name__ == "__main__":
    request = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "REMOTE_ADDR": "127.0.0.1", "wsgi.input": None}
    app = create_app(settings.load())
    print(b"".join(app(request, lambda *_: None)).decode())
