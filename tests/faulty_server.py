"""A video site on this machine that behaves as badly as the real ones."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

FAULTS = {
    "404": "unavailable",
    "410": "unavailable",
    "403": "environment",
    "429": "environment",
    "429wait": "environment",
    "500": "environment",
    "hang": "environment",
    "drip": "environment",
    "cut": "environment",
    "short_length": "environment",
    "long_length": "environment",
    "html": "environment",
    "html_as_video": "environment",
    "zero": "environment",
    "truncated": "environment",
    "loop": "environment",
    "reset": "environment",
}
"""Kinds of fault, and what each should be called."""


class Site:
    """Serves ``film`` at ``/<kind>/<name>.mp4``; kind ``good``, or one of ``FAULTS``."""

    def __init__(self, film: bytes, delay: float = 0.0):
        self.film, self.delay = film, delay
        self.requests: Counter[str] = Counter()
        """How often each path was asked for."""
        self.healed: set[str] = set()
        """Paths that have become good."""
        self.moments: list[tuple[float, str]] = []
        self.closing = Event()

    @contextmanager
    def open(self) -> Iterator[str]:
        """Its address, while it runs."""
        handler = type("Handler", (_Handler,), {"site": self})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            self.closing.set()
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        site = self.site
        site.requests[self.path] += 1
        site.moments.append((time.monotonic(), self.path))
        time.sleep(site.delay)
        kind = "good" if self.path in site.healed else self.path.split("/")[1]
        answer: Callable[[], None] = getattr(self, f"_{kind}", None) or self._refuse
        with suppress(BrokenPipeError, ConnectionResetError):  # the other side has given up
            answer()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, body: bytes, kind: str = "video/mp4", length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _refuse(self) -> None:
        self.send_error(int(self.path.split("/")[1]))

    def _429wait(self) -> None:
        self.send_response(429)
        self.send_header("Retry-After", "2")
        self.end_headers()

    def _good(self) -> None:
        self._send(self.site.film)

    def _hang(self) -> None:
        self.site.closing.wait(30)

    def _drip(self) -> None:
        self._send(b"", length=len(self.site.film))
        for start in range(0, len(self.site.film), 500):
            self.wfile.write(self.site.film[start : start + 500])
            if self.site.closing.wait(0.5):
                return

    def _cut(self) -> None:
        self._send(self.site.film[: len(self.site.film) // 2], length=len(self.site.film))

    def _short_length(self) -> None:
        self._send(self.site.film, length=len(self.site.film) // 2)

    def _long_length(self) -> None:
        self._send(self.site.film, length=len(self.site.film) + 1000)

    def _html(self) -> None:
        self._send(b"<html><body>Sign in to the network</body></html>", "text/html")

    def _html_as_video(self) -> None:
        self._send(b"<html><body>Sign in to the network</body></html>" * 50)

    def _zero(self) -> None:
        self._send(b"")

    def _truncated(self) -> None:
        self._send(self.site.film[: len(self.site.film) // 2])

    def _loop(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.path)
        self.end_headers()

    def _reset(self) -> None:
        self.connection.close()
