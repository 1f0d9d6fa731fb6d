"""Made-up films, and a server of them on this machine."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from solos.media.process import ffmpeg_path


def write_film(path: Path, seconds: float, size: str) -> Path:
    inputs = [
        *("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds}"),
        *("-f", "lavfi", "-i", f"anoisesrc=d={seconds}:a=0.2:r=44100"),
    ]
    codecs = ["-c:v", "libx264", "-preset", "fast", "-c:a", "aac", "-movflags", "+faststart"]
    ffmpeg(*inputs, *codecs, path)
    return path


def ffmpeg(*arguments: object) -> None:
    subprocess.run([ffmpeg_path(), "-v", "error", *map(str, arguments)], check=True)


def noted(text: str) -> bytes:
    """What players of a film skip at its end."""
    return (8 + len(text)).to_bytes(4) + b"free" + text.encode()


@contextmanager
def serving(film: bytes) -> Iterator[str]:
    """An address below which every path is the film, each with bytes of its own."""

    class Films(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.body = film + noted(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "video/mp4")
            self.send_header("Content-Length", str(len(self.body)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            with suppress(ConnectionError):  # only the head was wanted
                self.wfile.write(self.body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Films) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
