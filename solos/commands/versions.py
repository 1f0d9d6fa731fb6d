"""With what something was computed."""

import platform
import subprocess
from importlib import metadata

from solos.errors import UserError
from solos.media.process import ffmpeg_path

_PACKAGES = ("solos-separation", "torch", "torchaudio", "torchvision", "numpy", "dvc")


def versions() -> dict[str, str | None]:
    """Versions of Python, the packages that matter and ffmpeg; None for what is not installed."""
    found = {"python": platform.python_version()}
    return found | {name: _version(name) for name in _PACKAGES} | {"ffmpeg": _ffmpeg()}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _ffmpeg() -> str | None:
    try:
        command = [ffmpeg_path(), "-version"]
    except UserError:
        return None
    about = subprocess.run(command, capture_output=True, text=True, check=False)
    return " ".join(about.stdout.split()[2:3]) or None
